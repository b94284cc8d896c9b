//! A child process that cannot outlive us.

use std::ffi::OsStr;
use std::io;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

/// A command for `program` whose process the kernel kills when we die, even by
/// SIGKILL, when no destructor runs. Add arguments and redirections as usual,
/// then start it with [`Guarded::spawn`].
///
/// `setpriv` (util-linux) sets the death signal and then becomes the program:
/// the process id stays the same.
pub fn dying_with_us(program: impl AsRef<OsStr>) -> Command {
    let mut command = dying_of("KILL", &[] as &[&OsStr]);
    command.arg(program);
    command
}

/// The same under another user and group of this number, without further groups
/// and without a way to more rights. Only root can start it.
pub fn dying_with_us_as(id: u32, program: impl AsRef<OsStr>) -> Command {
    dying_with_us_in(id, id, program)
}

/// The same with a group of another number.
pub fn dying_with_us_in(user: u32, group: u32, program: impl AsRef<OsStr>) -> Command {
    let (user, group) = (user.to_string(), group.to_string());
    let options = [
        "--reuid",
        &user,
        "--regid",
        &group,
        "--clear-groups",
        "--no-new-privs",
    ];
    let mut command = dying_of("KILL", &options);
    command.arg(program);
    command
}

/// The same with another signal, for a program that cleans up after itself,
/// and with further options of `setpriv`. The program is the next argument.
pub(crate) fn dying_of(signal: &str, options: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", signal])
        .args(options)
        .arg("--");
    command
}

/// A running child, killed by its own process id and waited for on drop.
#[derive(Debug)]
pub struct Guarded {
    child: Child,
}

impl Guarded {
    /// Starts `command`, made by [`dying_with_us`].
    pub fn spawn(command: Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let child = spawn_from_lasting_thread(command)
            .with_context(|| format!("cannot start `{program}` (it is in Debian's util-linux)"))?;
        Ok(Self { child })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The exit status, when the child has ended.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().context("cannot ask after a child")
    }

    /// The child itself, for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// SIGTERM to the child, and its end; after so long SIGKILL to it and to all of
    /// its group, if it leads one: what it started may not be gone with it.
    pub fn end(mut self, patience: Duration) {
        let pid = self.id().to_string();
        let signal = |name: &str, whom: &str| {
            let mut kill = Command::new("kill");
            let kill = kill.args(["-s", name, "--", whom]);
            let _ = kill.stdout(Stdio::null()).stderr(Stdio::null()).status();
        };
        signal("TERM", &pid);
        let begun = Instant::now();
        while self.ended().is_ok_and(|it| it.is_none()) && begun.elapsed() < patience {
            thread::sleep(Duration::from_millis(20));
        }
        signal("KILL", &format!("-{pid}"));
        self.kill();
    }

    /// Kills the child and waits until it is gone.
    pub fn stop(mut self) {
        self.kill();
    }

    /// Kills the child and waits until it is gone. The value stays.
    pub fn kill(&mut self) {
        // Both fail only when the child is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        self.kill();
    }
}

type Job = (Command, Sender<io::Result<Child>>);

/// The kernel ties a death signal to the *thread* that forked, not to its
/// process: a child started from a test's thread would die with that test. So
/// one thread, which lives as long as the process, starts all of them.
fn spawn_from_lasting_thread(command: Command) -> Result<Child> {
    static SPAWNER: OnceLock<Sender<Job>> = OnceLock::new();
    let spawner = SPAWNER.get_or_init(|| {
        let (jobs, inbox) = channel::<Job>();
        thread::spawn(move || {
            for (mut command, answer) in inbox {
                // The asker may have given up; its child then ends here.
                if let Err(unwanted) = answer.send(command.spawn())
                    && let Ok(mut child) = unwanted.0
                {
                    let _ = child.kill();
                    let _ = child.wait();
                }
            }
        });
        jobs
    });
    let (answer, inbox) = channel();
    spawner
        .send((command, answer))
        .map_err(|_| anyhow!("the thread that starts children is gone"))?;
    Ok(inbox
        .recv()
        .context("the thread that starts children is gone")??)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exists(pid: u32) -> bool {
        std::fs::read_to_string(format!("/proc/{pid}/stat"))
            // A zombie is dead; only its parent has not asked yet.
            .is_ok_and(|stat| !stat.contains(") Z "))
    }

    fn wait_gone(pid: u32) -> bool {
        let until = Instant::now() + Duration::from_secs(20);
        while exists(pid) && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        !exists(pid)
    }

    fn sleeper() -> Guarded {
        let mut command = dying_with_us("sleep");
        command.arg("60");
        Guarded::spawn(command).unwrap()
    }

    #[test]
    fn a_child_outlives_the_thread_that_asked_for_it() {
        let mut child = thread::spawn(sleeper).join().unwrap();
        thread::sleep(Duration::from_millis(100));
        assert!(child.ended().unwrap().is_none());
    }

    #[test]
    fn drop_and_stop_end_the_child() {
        let child = sleeper();
        let pid = child.id();
        assert!(exists(pid));
        drop(child);
        assert!(wait_gone(pid));

        let child = sleeper();
        let pid = child.id();
        assert!(exists(pid));
        child.stop();
        assert!(wait_gone(pid));
    }

    /// Runs in a copy of this test binary, which the test below kills.
    #[test]
    fn victim_of_sigkill() {
        let Some(file) = std::env::var_os("COFFERDAM_DEVKIT_VICTIM") else {
            return;
        };
        let child = sleeper();
        std::fs::write(file, child.id().to_string()).unwrap();
        thread::sleep(Duration::from_secs(60));
    }

    #[test]
    fn sigkill_of_the_parent_ends_the_child() {
        let folder = crate::process::private_folder("victim").unwrap();
        let file = folder.path().join("pid");
        let mut parent = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "process::child::tests::victim_of_sigkill"])
            .env("COFFERDAM_DEVKIT_VICTIM", &file)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let until = Instant::now() + Duration::from_secs(10);
        let pid = loop {
            let text = std::fs::read_to_string(&file).unwrap_or_default();
            if let Ok(pid) = text.parse::<u32>() {
                break pid;
            }
            assert!(Instant::now() < until, "the victim did not start");
            thread::sleep(Duration::from_millis(5));
        };
        assert!(exists(pid));
        // Its death signal is set once it is what it was started for.
        let comm = format!("/proc/{pid}/comm");
        while std::fs::read_to_string(&comm).unwrap().trim() != "sleep" {
            assert!(Instant::now() < until, "the sleeper did not start");
            thread::sleep(Duration::from_millis(5));
        }
        parent.kill().unwrap();
        parent.wait().unwrap();
        assert!(wait_gone(pid));
    }
}
