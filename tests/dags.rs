//! `cofferdam check --dags` on folders of DAG files, with the real binary and the
//! machine's Python: a good one, one of each finding, and files that are hostile.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use cofferdam_devkit::world::{Finished, World};
use serde_json::{Value, json};

use crate::common::{binary, guest};

const IMPORTS: &str = "from airflow.sdk import DAG, dag, task\n\
     from airflow_provider_cofferdam.operator import CofferdamOperator\n";

/// The task `hello`, whose input is a `name`, for the DAG `tests`.
fn world() -> World {
    let world = World::bare(binary()).unwrap();
    world.task("hello", &guest("hello"), "").unwrap();
    fs::create_dir(world.path("dags")).unwrap();
    world
}

fn dag(world: &World, name: &str, text: &str) {
    fs::write(world.path("dags").join(name), format!("{IMPORTS}{text}")).unwrap();
}

fn check(world: &World, more: &[&str]) -> Finished {
    let arguments = [&["check", "--dags", "dags"], more].concat();
    Finished::of(world.command(&arguments).output().unwrap()).unwrap()
}

fn document(world: &World, exit: i32) -> Value {
    let finished = check(world, &["--format", "json"]);
    assert_eq!(finished.code, exit, "{finished:?}");
    finished.report().unwrap()
}

/// The codes of the findings of one severity.
fn codes(document: &Value, severity: &str) -> BTreeSet<String> {
    let findings = document["findings"].as_array().unwrap().iter();
    findings
        .filter(|finding| finding["severity"] == severity)
        .map(|finding| finding["code"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn a_good_folder_is_listed_and_nothing_is_found() {
    let world = world();
    dag(
        &world,
        "greet.py",
        "with DAG('tests'):\n    CofferdamOperator(task_id='a', task='hello', input={'name': 'Ada'})\n\
         \n    @task.cofferdam('hello', limits={'timeout': '5s'})\n    def greet(name: str): ...\n\n    greet('Grace')\n",
    );
    let finished = check(&world, &[]);
    assert_eq!(finished.code, 0, "{finished:?}");
    insta::assert_snapshot!(finished.stdout, @r"
    dags/greet.py:3: DAG `tests` asks for `hello` (line 4), `hello` (line 9)
    1 file, 1 DAG against 1 task: 0 errors, 0 warnings, 0 notes
    ");
    let document = document(&world, 0);
    assert_eq!(
        document["dags"],
        json!([{
            "dag": "tests",
            "file": "dags/greet.py",
            "line": 3,
            "tasks": [{"task": "hello", "line": 4}, {"task": "hello", "line": 9}],
        }])
    );
    // What these DAGs ask for is what a run takes.
    let run = world.run("hello").input(json!({"name": "Ada"})).finish();
    assert_eq!(run.unwrap().code, 0);
}

#[test]
fn each_finding_has_its_code() {
    let world = world();
    let grants = fs::read_to_string(world.path("grants/hello.toml")).unwrap();
    let copy = |name: &str, from: &str, to: &str| {
        assert!(grants.contains(from), "{grants}");
        let text = grants.replace("task = \"hello\"", &format!("task = \"{name}\""));
        let text = text.replace(from, to);
        world.write(&format!("grants/{name}.toml"), &text).unwrap();
    };
    copy("proven", "identity = \"claimed\"", "");
    copy("broken", "digest", "digits");
    copy("spare", "\"claimed\"", "\"claimed\"");
    copy("shared", "[\"tests\"]", "[\"tests\", \"gone\"]");
    dag(
        &world,
        "each.py",
        r#"
with DAG("tests"):
    CofferdamOperator()
    CofferdamOperator(task="nothing", input={"name": "a"})
    CofferdamOperator(task="broken", input={"name": "a"})
    CofferdamOperator(task="proven", input={"name": "a"})
    CofferdamOperator(task="hello")
    CofferdamOperator(task="hello", input={"name": 7, "nmae": "a"})
    CofferdamOperator(task="shared", input={"name": "a"}, limits={"timeout": "2h", "fuel": 1})
    CofferdamOperator(task="shared", input={"name": computed()})

    @task.cofferdam("hello")
    def greet(name): return name
    greet()
    greet("a", "b")

with DAG("stranger"):
    CofferdamOperator(task="hello", input={"name": "a"})
"#,
    );
    fs::write(world.path("dags/broken.py"), "x = (\n").unwrap();
    let told = document(&world, 1);
    let expected = [
        "argument_missing",
        "argument_unknown",
        "dag_not_granted",
        "file_unread",
        "grants_unusable",
        "identity_claimed",
        "input_missing",
        "input_type",
        "input_unknown",
        "limit_invalid",
        "limit_wider",
        "not_a_signature",
        "task_missing",
        "task_unknown",
    ];
    let codes_of = |severity| codes(&told, severity).into_iter().collect::<Vec<_>>();
    assert_eq!(codes_of("error"), expected, "{told:#}");
    for finding in told["findings"].as_array().unwrap() {
        let has_line = finding["line"].is_number();
        assert!(has_line && finding["file"].is_string(), "{finding}");
    }
    // A file that was not read may ask for anything, so nothing is called unused.
    assert_eq!(codes_of("note"), ["dag_unused", "not_known", "task_unused"]);
    fs::remove_file(world.path("dags/broken.py")).unwrap();
    let told = document(&world, 1);
    let warnings: Vec<_> = codes(&told, "warning").into_iter().collect();
    assert_eq!(warnings, ["dag_unused", "task_unused"], "{told:#}");
    // One DAG in which nothing is unknown.
    dag(
        &world,
        "each.py",
        "with DAG('tests'):\n    CofferdamOperator(task='shared', input={'name': 'a'})\n",
    );
    fs::remove_file(world.path("grants/broken.toml")).unwrap();
    let told = document(&world, 0);
    let warnings: Vec<_> = codes(&told, "warning").into_iter().collect();
    assert_eq!(warnings, ["dag_unused", "task_unused"], "{told:#}");

    // The claim is true: the run that it warns of is denied.
    let denied = world.run("proven").input(json!({"name": "a"})).finish();
    assert_eq!(denied.unwrap().code, 3);
    let denied = world.run("hello").dag("stranger").finish();
    assert_eq!(denied.unwrap().code, 3);
}

#[test]
fn hostile_files_are_findings_and_none_is_executed() {
    let world = world();
    let outside = world.path("outside.py");
    let marker = world.path("marker");
    let folder = world.path("dags");
    let attack = format!("import os\nos.system('touch {}')\n", marker.display());
    fs::write(&outside, &attack).unwrap();
    symlink(&outside, folder.join("a-link.py")).unwrap();
    symlink("/", folder.join("a-root")).unwrap();
    fs::write(folder.join("attack.py"), format!("{attack}{IMPORTS}")).unwrap();
    // What an interpreter imports by itself when it is careless.
    for name in ["sitecustomize.py", "usercustomize.py", "json.py", "ast.py"] {
        fs::write(folder.join(name), &attack).unwrap();
        fs::write(world.path(name), &attack).unwrap();
    }
    fs::write(folder.join("bytes.py"), b"x = '\xff\xfe'\n").unwrap();
    fs::write(folder.join("null.py"), b"x = 1\0\n").unwrap();
    fs::write(folder.join("large.py"), "x = 1\n".repeat(350_000)).unwrap();
    fs::write(folder.join("syntax.py"), "x = 1\ndef f(:\n").unwrap();
    for (name, open, times, close) in [
        ("parens.py", "(", 100_000, ""),
        ("minus.py", "-", 100_000, "1"),
        ("sum.py", "1+", 100_000, "1"),
        ("names.py", "a.", 100_000, "b"),
        ("lambdas.py", "lambda:", 50_000, "1"),
        ("lists.py", "[", 150, ""),
    ] {
        let text = format!("x = {}{close}\n", open.repeat(times));
        fs::write(folder.join(name), text).unwrap();
    }
    // One literal that is told five thousand times.
    let asks = "    CofferdamOperator(task='hello', input={'name': X})\n".repeat(5_000);
    let long = "v".repeat(400_000);
    dag(
        &world,
        "repeats.py",
        &format!("X = '{long}'\nwith DAG('tests'):\n{asks}"),
    );
    // A name that ends a line of a careless report, or is no text at all.
    dag(
        &world,
        "na\nme.py",
        "with DAG('tests\\n\\x1b[2J'):\n    CofferdamOperator(task='hello\\x1b[2J')\n",
    );

    let finished = check(&world, &[]);
    assert_eq!(finished.code, 1, "{finished:?}");
    assert!(!marker.exists(), "a DAG file was executed");
    assert!(!finished.stdout.contains('\x1b'), "{finished:?}");
    assert!(!finished.stdout.contains("na\nme"), "{finished:?}");
    let told = document(&world, 1);
    assert!(!marker.exists(), "a DAG file was executed");
    let of = |name: &str| {
        let findings = told["findings"].as_array().unwrap().iter();
        let mut of_file = findings.filter(|it| it["file"] == format!("dags/{name}"));
        of_file.next().cloned().unwrap_or_default()
    };
    for name in [
        "bytes.py",
        "null.py",
        "large.py",
        "syntax.py",
        "parens.py",
        "lists.py",
        "repeats.py",
    ] {
        let finding = of(name);
        assert_eq!(finding["code"], "file_unread", "{name}: {told:#}");
        assert_eq!(finding["severity"], "error", "{name}");
    }
    assert_eq!(of("syntax.py")["line"], 2);
    for name in ["a-link.py", "a-root"] {
        assert_eq!(of(name)["severity"], "note", "{told:#}");
    }
    // Those that are nothing but deep are read, or told; the rest was read all the same.
    assert_eq!(of("na\nme.py")["code"], "task_unknown", "{told:#}");

    // Positive control: whoever runs the file does leave the marker.
    let ran = Command::new("python3")
        .arg(folder.join("attack.py"))
        .output();
    assert!(ran.is_ok() && marker.exists(), "{ran:?}");
}

#[test]
fn what_cannot_be_read_at_all_exits_with_2() {
    let world = world();
    dag(&world, "a.py", "");
    for (arguments, words) in [
        (vec!["check", "--dags", "nowhere"], "cannot read the folder"),
        (
            vec!["check", "--dags", "dags", "--python", "no-such-python"],
            "cannot start `no-such-python`",
        ),
        (
            vec!["check", "--dags", "dags", "--python", "false"],
            "did not read the DAG files",
        ),
        (vec!["check", "--python", "python3"], "--dags"),
    ] {
        let output = world.command(&arguments).output().unwrap();
        let finished = Finished::of(output).unwrap();
        assert_eq!(finished.code, 2, "{finished:?}");
        assert!(finished.stderr.contains(words), "{finished:?}");
    }
    fs::remove_file(world.path("cofferdam.toml")).unwrap();
    assert_eq!(check(&world, &[]).code, 2);
}

#[test]
fn tasks_lists_what_the_grants_folder_has() {
    let world = world();
    world
        .write("grants/broken.toml", "task = \"broken\"\n")
        .unwrap();
    let hello = fs::read_to_string(world.path("grants/hello.toml")).unwrap();
    let changed = hello.replace("\"hello\"", "\"changed\"");
    let (before, after) = changed.split_once("sha256:").unwrap();
    let other = format!("{before}sha256:{}{}", "0".repeat(64), &after[64..]);
    world.write("grants/changed.toml", &other).unwrap();
    let output = world.command(&["tasks"]).output().unwrap();
    let finished = Finished::of(output).unwrap();
    assert_eq!(finished.code, 0, "{finished:?}");
    insta::assert_snapshot!(finished.stdout, @r"
    TASK     VERSION  INPUT  OUTPUT    NEEDS  DAGS   STATE
    broken   -        -      -         -      -      its grants cannot be used
    changed  -        -      -         -      tests  its component cannot be used
    hello    0.1.0    name   greeting  -      tests  usable
    ");
    let output = world.command(&["tasks", "--format", "json"]).output();
    let finished = Finished::of(output.unwrap()).unwrap();
    let list: cofferdam::api::TaskList = serde_json::from_str(&finished.stdout).unwrap();
    let hello = list.tasks.iter().find(|task| task.name == "hello").unwrap();
    let schema = hello.input_schema.as_ref().unwrap();
    assert_eq!(schema["required"], json!(["name"]));
    assert!(hello.output_schema.is_some() && hello.unusable.is_none());
}
