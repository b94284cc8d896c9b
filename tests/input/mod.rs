//! Bad input: each gets its exit code and a message with file, field and cure.
//! The messages stand in `snapshots/`, to be read as a person would read them.

mod components;
mod files;
mod guests;
mod values;

use std::io::Write;
use std::process::Stdio;

use cofferdam_devkit::tools::workspace;
use cofferdam_devkit::world::{Finished, World};

use crate::common::{TOKEN, guest, nobody_lives, world};

/// A world in which things go wrong, and what was said about it.
struct Desk {
    world: World,
    told: String,
}

impl Desk {
    /// A world with Vault and the task `hello`, whose grants need it.
    async fn new() -> Self {
        let desk = Self {
            world: world().await,
            told: String::new(),
        };
        desk.reset();
        desk
    }

    /// Puts the good grants file back.
    fn reset(&self) {
        self.world
            .task(
                "hello",
                &guest("probe-http"),
                &crate::common::api("http://127.0.0.1:1"),
            )
            .unwrap();
    }

    fn grants(&self) -> String {
        std::fs::read_to_string(self.world.path("grants/hello.toml")).unwrap()
    }

    /// Changes the grants file: the first `from` becomes `to`.
    fn change(&self, from: &str, to: &str) {
        let text = self.grants();
        assert!(text.contains(from), "{text}");
        self.world
            .write("grants/hello.toml", &text.replacen(from, to, 1))
            .unwrap();
    }

    /// A run of `hello` that ends with this code; what it says is kept.
    fn run(&mut self, name: &str, code: i32) -> Finished {
        let arguments = [
            "run",
            "hello",
            "--dag-id",
            "tests",
            "--input",
            r#"{"do": "env"}"#,
        ];
        self.command(name, code, &arguments)
    }

    fn command(&mut self, name: &str, code: i32, arguments: &[&str]) -> Finished {
        let output = self
            .world
            .command(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        self.ended(name, code, Finished::of(output).unwrap())
    }

    /// A command that reads `input` on its standard input.
    fn piped(&mut self, name: &str, code: i32, arguments: &[&str], input: &[u8]) -> Finished {
        let mut command = self.world.command(arguments);
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        // It may stop reading when it has seen enough.
        let _ = child.stdin.take().unwrap().write_all(input);
        self.ended(name, code, crate::common::ended(child))
    }

    fn ended(&mut self, name: &str, code: i32, finished: Finished) -> Finished {
        assert_eq!(finished.code, code, "{name}: {finished:?}");
        assert!(!finished.stderr.contains(TOKEN), "{name}: {finished:?}");
        for host in ["thread 'main'", "thread 'tokio"] {
            assert!(!finished.stderr.contains(host), "{name}: {finished:?}");
        }
        self.told.push_str(&format!("## {name}: exit {code}\n"));
        for line in finished
            .stderr
            .lines()
            .filter(|line| !line.starts_with("run "))
        {
            let mut line: String = line.chars().take(400).collect();
            for (from, to) in [
                (self.world.folder().to_str().unwrap(), "."),
                (
                    guest("probe-http").parent().unwrap().to_str().unwrap(),
                    "guests",
                ),
                (workspace().to_str().unwrap(), "REPOSITORY"),
            ] {
                line = line.replace(from, to);
            }
            self.told.push_str(without_digests(&line).trim_end());
            self.told.push('\n');
        }
        self.told.push('\n');
        finished
    }

    /// Nothing was minted, and what was said is what it should be.
    async fn close(self, snapshot: &str) {
        let bao = self.world.bao().unwrap();
        assert_eq!(
            bao.minted().unwrap(),
            0,
            "a token was minted for a run that cannot start"
        );
        nobody_lives(bao).await;
        insta::assert_snapshot!(snapshot, self.told);
    }
}

/// Digests change with every build of a guest.
fn without_digests(line: &str) -> String {
    let mut parts = line.split("sha256:");
    let mut text = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_hexdigit());
        text.push_str("sha256:…");
        text.push_str(rest);
    }
    text
}
