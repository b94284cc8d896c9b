//! What systemd does with a service, done by hand from its units.

use std::fs::{File, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use cofferdam_devkit::process::Guarded;
use rustix::process::{Pid, Signal, kill_process};

use super::machine::Machine;
use crate::common::until;

/// A unit file, by its keys.
struct Unit(String);

impl Unit {
    fn read(machine: &Machine, name: &str) -> Self {
        Self(machine.read(&format!("/etc/systemd/system/{name}")))
    }

    fn get(&self, key: &str) -> &str {
        let mut lines = self.0.lines().filter_map(|line| line.split_once('='));
        let found = lines.find(|(name, _)| *name == key);
        found.unwrap_or_else(|| panic!("no {key}")).1
    }

    fn mode(&self, key: &str) -> u32 {
        u32::from_str_radix(self.get(key), 8).unwrap()
    }
}

/// systemd's part: the folders and the socket, the process and its signals.
pub(super) struct Systemd<'a> {
    machine: &'a Machine,
    unit: Unit,
    socket: UnixListener,
    process: Option<Guarded>,
}

impl<'a> Systemd<'a> {
    /// `systemctl enable --now`.
    pub(super) fn enable(machine: &'a Machine) -> Self {
        let (unit, socket) = ["cofferdam.service", "cofferdam.socket"]
            .map(|name| Unit::read(machine, name))
            .into();
        let (user, group) = machine.id_of(unit.get("User"));
        for (key, above) in [
            ("StateDirectory", "/var/lib"),
            ("LogsDirectory", "/var/log"),
            ("CacheDirectory", "/var/cache"),
        ] {
            let folder = machine.path(above).join(unit.get(key));
            make(&folder, unit.mode(&format!("{key}Mode")));
            chown(&folder, Some(user), Some(group)).unwrap();
        }
        let path = machine.path(socket.get("ListenStream"));
        make(path.parent().unwrap(), socket.mode("DirectoryMode"));
        let listener = UnixListener::bind(&path).unwrap();
        let mode = Permissions::from_mode(socket.mode("SocketMode"));
        std::fs::set_permissions(&path, mode).unwrap();
        let mut systemd = Self {
            machine,
            unit,
            socket: listener,
            process: None,
        };
        systemd.start();
        systemd
    }

    /// `systemctl start`: the socket is descriptor 3, `LISTEN_PID` whoever becomes the service.
    pub(super) fn start(&mut self) {
        let journal = self.journal();
        let journal = File::options().create(true).append(true).open(journal);
        let (user, group) = (self.unit.get("User"), self.unit.get("Group"));
        let mask = self.unit.get("UMask");
        let passed = format!(
            "umask {mask}; exec 3<&0 0</dev/null; LISTEN_FDS=1 LISTEN_PID=$$ exec {}",
            self.unit.get("ExecStart")
        );
        let mut command = self.machine.command();
        command
            .args(["setpriv", "--pdeathsig", "KILL", "--no-new-privs"])
            .args(["--reuid", user, "--regid", group, "--init-groups"])
            .args(["--inh-caps", "-all", "--bounding-set", "-all", "--"])
            .args(["sh", "-c", &passed])
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(self.socket.try_clone().unwrap())))
            .stdout(Stdio::null())
            .stderr(journal.unwrap());
        let begun = "serving on ";
        let before = self.told(begun);
        self.process = Some(Guarded::spawn(command).unwrap());
        until("the service is up", || self.told(begun) > before);
    }

    /// `systemctl reload`, and what it tells.
    pub(super) fn reload(&self) {
        assert!(self.unit.get("ExecReload").contains("-HUP $MAINPID"));
        let done = "are in effect";
        let before = self.told(done);
        self.signal(Signal::HUP);
        until("what was read is in effect", || self.told(done) > before);
    }

    /// `systemctl restart`.
    pub(super) fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// `systemctl stop`; a good end.
    pub(super) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let mut process = self.process.take().unwrap();
        let mut ended = None;
        until("the service ends", || {
            ended = process.ended().unwrap();
            ended.is_some()
        });
        assert!(ended.unwrap().success(), "{}", self.log());
    }

    fn signal(&self, signal: Signal) {
        let pid = self.process.as_ref().unwrap().id().cast_signed();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Where `journalctl` would find what the service prints.
    fn journal(&self) -> PathBuf {
        self.machine.tree().join("journal")
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.journal()).unwrap()
    }

    /// How often the service has printed this.
    pub(super) fn told(&self, text: &str) -> usize {
        self.log().matches(text).count()
    }
}

fn make(folder: &Path, mode: u32) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
}
