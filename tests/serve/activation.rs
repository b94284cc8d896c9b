//! What systemd does with the service, done by hand: it listens, passes the
//! socket on, and is told how the service is.

use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::time::Duration;

use cofferdam::client::Client;
use cofferdam_devkit::process::{Guarded, dying_with_us};
use cofferdam_devkit::world::World;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::stage::submission;
use crate::common::{SOON, binary, guest};

/// systemd's part: the listening socket, and the one on which it is told.
struct Systemd {
    listener: UnixListener,
    told: UnixDatagram,
    world: World,
}

impl Systemd {
    fn new() -> Self {
        let world = World::bare(binary()).unwrap();
        world.task("hello", &guest("hello"), "").unwrap();
        let told = UnixDatagram::bind(world.path("notify")).unwrap();
        told.set_read_timeout(Some(SOON)).unwrap();
        Self {
            listener: UnixListener::bind(world.path("cofferdam.sock")).unwrap(),
            told,
            world,
        }
    }

    /// sd_listen_fds(3): the socket is descriptor 3, `LISTEN_PID` the process that
    /// becomes the service.
    fn start(&self) -> Guarded {
        let mut command: Command = dying_with_us("sh");
        command
            .args([
                "-c",
                "exec 3<&0 0</dev/null; LISTEN_PID=$$ exec \"$0\" serve",
            ])
            .arg(binary())
            .env("LISTEN_FDS", "1")
            .env("NOTIFY_SOCKET", self.world.path("notify"))
            .current_dir(self.world.folder())
            .stdin(Stdio::from(OwnedFd::from(
                self.listener.try_clone().unwrap(),
            )));
        Guarded::spawn(command).unwrap()
    }

    /// The next that systemd is told.
    fn next(&self) -> String {
        let mut text = [0; 512];
        let length = self.told.recv(&mut text).unwrap();
        String::from_utf8(text[..length].to_vec()).unwrap()
    }

    async fn hello(&self, key: &str) -> u8 {
        let client = Client::unix(self.world.path("cofferdam.sock"));
        let submitted = client
            .submit(key, &submission("hello", json!({ "name": "x" })))
            .await
            .unwrap();
        let view = client.run(submitted.view.run, 60).await.unwrap();
        super::stage::report(&view).exit
    }
}

#[tokio::test]
async fn who_calls_before_the_service_is_up_or_while_it_restarts_is_answered() {
    let systemd = Systemd::new();
    // Nobody accepts yet: the kernel keeps the connection, as it does for systemd,
    // which starts the service because of it.
    let early = systemd.hello("early");
    tokio::pin!(early);
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut early).await;
    assert!(waits.is_err(), "nobody could have answered");

    let mut service = systemd.start();
    assert!(systemd.next().contains("READY=1"));
    assert_eq!(early.await, 0);

    let pid = Pid::from_raw(service.id().cast_signed()).unwrap();
    kill_process(pid, Signal::TERM).unwrap();
    assert!(systemd.next().contains("STOPPING=1"));
    crate::common::until("it ends", || service.ended().unwrap().is_some());
    // The socket is systemd's: it is still there.
    let between = systemd.hello("between");
    tokio::pin!(between);
    let waits = tokio::time::timeout(Duration::from_millis(200), &mut between).await;
    assert!(waits.is_err(), "nobody could have answered");

    let again = systemd.start();
    assert!(systemd.next().contains("READY=1"));
    assert_eq!(between.await, 0);
    again.stop();
}
