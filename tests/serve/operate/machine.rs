//! A machine for a page whose commands install things: what they write to the folders of
//! the system nobody else sees, and it is gone with the test.

use std::fs::Permissions;
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::process::{Guarded, dying_with_us, private_folder};
use cofferdam_devkit::tools::{self, GuestEnv, forget_outer_cargo, workspace};
use cofferdam_devkit::world::Finished;
use tempfile::TempDir;

use crate::common::binary;

/// Folders of its own over those of the system, for as long as it lives: all that is below
/// them is seen through.
const KEEP: &str = r#"
umask 022
mount -t tmpfs tmpfs "$0"
for part in etc usr var run; do
    mkdir -p "$0/$part/over" "$0/$part/work"
    mount -t overlay overlay "/$part" \
        -o "lowerdir=/$part,upperdir=$0/$part/over,workdir=$0/$part/work"
done
echo ready
exec sleep infinity
"#;

/// This machine, with system folders of a test's own. Takes root.
pub(super) struct Machine {
    // First: what it holds mounted lies in the folder.
    keeper: Guarded,
    folder: TempDir,
    /// What the compiler of tasks needs here.
    compiler: GuestEnv,
}

impl Machine {
    pub(super) fn start() -> Self {
        let folder = private_folder("machine").unwrap();
        let layers = folder.path().join("layers");
        std::fs::create_dir(&layers).unwrap();
        let mut command = dying_with_us("unshare");
        command
            .args(["--mount", "--propagation", "private", "--"])
            .args(["sh", "-e", "-c", KEEP])
            .arg(&layers)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut keeper = Guarded::spawn(command).unwrap();
        let mut line = String::new();
        let stdout = keeper.child().stdout.take().unwrap();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        assert_eq!(line, "ready\n", "a test needs mounts of its own");
        let machine = Self {
            keeper,
            folder,
            compiler: tools::wasm_target().unwrap(),
        };
        machine.check_out();
        machine
    }

    /// The repository as an operator has it: the tree, with a binary that was built.
    fn check_out(&self) {
        let tree = self.tree();
        std::fs::create_dir_all(tree.join("target/release")).unwrap();
        symlink(binary(), tree.join("target/release/cofferdam")).unwrap();
        for part in ["deploy", "docs", "examples"] {
            symlink(workspace().join(part), tree.join(part)).unwrap();
        }
    }

    /// The root of the repository.
    pub(super) fn tree(&self) -> PathBuf {
        self.folder.path().join("tree")
    }

    /// A file of this machine's, from the root on, as the test reaches it.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        let root = PathBuf::from(format!("/proc/{}/root", self.keeper.id()));
        root.join(path.trim_start_matches('/'))
    }

    pub(super) fn read(&self, path: &str) -> String {
        std::fs::read_to_string(self.path(path)).unwrap()
    }

    /// The numbers of a user of this machine's.
    pub(super) fn id_of(&self, user: &str) -> (u32, u32) {
        let accounts = self.read("/etc/passwd");
        let account = accounts
            .lines()
            .find(|line| line.split(':').next() == Some(user));
        let numbers: Vec<u32> = (account.unwrap().split(':').skip(2).take(2))
            .map(|number| number.parse().unwrap())
            .collect();
        (numbers[0], numbers[1])
    }

    /// Writes a file of this machine's that everybody may read.
    pub(super) fn write(&self, path: &str, text: &str) {
        let file = self.path(path);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    }

    /// Appends to one.
    pub(super) fn append(&self, path: &str, text: &str) {
        let text = format!("{}\n{text}", self.read(path));
        self.write(path, &text);
    }

    /// A command on this machine; the program is the next argument.
    pub(super) fn command(&self) -> Command {
        let mut command = Command::new("nsenter");
        let keeper = self.keeper.id().to_string();
        command.args(["--mount", "--target", &keeper, "--"]);
        command.env("PATH", path()).stdin(Stdio::null());
        command
    }

    /// Types a block in this folder, as root; it must do well.
    pub(super) fn type_in(&self, folder: &Path, block: &str) -> Finished {
        self.typed(&["sh"], folder, block, &[])
    }

    /// The same as another user.
    pub(super) fn type_in_as(&self, user: &str, folder: &Path, block: &str) -> Finished {
        self.typed(&["runuser", "-u", user, "--", "sh"], folder, block, &[])
    }

    /// The same as root who is logged in to this Vault as its administrator.
    pub(super) fn type_in_with(&self, folder: &Path, block: &str, bao: &OpenBao) -> Finished {
        let log_in = [
            ("BAO_ADDR", bao.address()),
            ("BAO_TOKEN", bao.root_token().to_owned()),
        ];
        self.typed(&["sh"], folder, block, &log_in)
    }

    fn typed(
        &self,
        shell: &[&str],
        folder: &Path,
        block: &str,
        environment: &[(&str, String)],
    ) -> Finished {
        let mut command = self.command();
        let there = "umask 022 && cd \"$0\" && exec \"$@\"";
        command.args(["sh", "-c", there]).arg(folder).args(shell);
        command.args(["-e", "-c", block]);
        forget_outer_cargo(&mut command);
        self.compiler.apply(&mut command);
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        let finished = Finished::of(command.output().unwrap()).unwrap();
        assert_eq!(finished.code, 0, "{block}\n{finished:?}");
        finished
    }
}

/// Where programs lie: the system's first, then what whoever tests has, and `bao`.
fn path() -> String {
    let ours = std::env::var("PATH").unwrap();
    let bao = tools::bao().unwrap();
    let bao = bao.parent().unwrap().display();
    format!("/usr/sbin:/usr/bin:/sbin:/bin:{ours}:{bao}")
}
