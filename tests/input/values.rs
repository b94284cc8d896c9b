//! Arguments and inputs.

use super::Desk;

#[tokio::test]
async fn arguments_and_inputs_that_are_wrong_are_told() {
    let mut desk = Desk::new().await;
    let run = |more: &[&'static str]| -> Vec<&'static str> {
        let mut arguments = vec!["run", "hello", "--dag-id", "tests"];
        arguments.extend(more);
        arguments
    };
    for (name, more, code) in [
        ("input that is no JSON", ["--input", "{no}"], 2),
        ("input that is cut", ["--input", "{\"a\":"], 2),
        ("two values", ["--input", "1 2"], 2),
        ("a missing file", ["--input", "@missing.json"], 2),
        ("a folder", ["--input", "@grants"], 2),
        ("a task_id with *", ["--task-id", "a*"], 2),
        ("a task_id with a newline", ["--task-id", "a\nb"], 2),
        (
            "a run_id with a control character",
            ["--run-id", "a\u{1b}[2J"],
            2,
        ),
        ("a run_id with braces", ["--run-id", "{{identity}}"], 2),
        ("try 0", ["--try-number", "0"], 2),
        ("map -2", ["--map-index", "-2"], 2),
        ("a date that is none", ["--logical-date", "yesterday"], 2),
        ("an unknown flag", ["--force", "1"], 2),
    ] {
        desk.command(name, code, &run(&more));
    }
    desk.command(
        "a dag_id with a slash",
        2,
        &["run", "hello", "--dag-id", "a/b"],
    );
    desk.command(
        "a dag that is not admitted",
        3,
        &["run", "hello", "--dag-id", "other"],
    );
    desk.command("no dag", 2, &["run", "hello"]);
    desk.command(
        "a task with ..",
        2,
        &["run", "../hello", "--dag-id", "tests"],
    );
    desk.command(
        "a task that is not there",
        2,
        &["run", "absent", "--dag-id", "tests"],
    );
    desk.command("no command", 2, &[]);
    desk.command(
        "another configuration",
        2,
        &["--config", "none.toml", "run", "hello", "--dag-id", "tests"],
    );

    let large = vec![b'7'; 100 << 20];
    let finished = desk.piped(
        "100 MB on standard input",
        2,
        &run(&["--input", "-"]),
        &large,
    );
    assert!(
        finished.stderr.contains("64 MiB") || finished.stderr.contains("bytes"),
        "{finished:?}"
    );
    std::fs::write(desk.world.path("large.json"), &large).unwrap();
    desk.command("100 MB in a file", 2, &run(&["--input", "@large.json"]));
    // Over what its own grants allow, which is 8 MiB, and under all limits of ours.
    let over = format!("\"{}\"", "x".repeat(9 << 20));
    desk.piped("9 MB", 2, &run(&["--input", "-"]), over.as_bytes());
    desk.piped("not UTF-8", 2, &run(&["--input", "-"]), b"\"\xff\"");
    desk.change("identity = \"claimed\"", "");
    desk.run("a claimed identity where security wants an attested one", 3);
    desk.close("values").await;
}
