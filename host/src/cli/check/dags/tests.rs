use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use insta::assert_snapshot;

use super::*;
use crate::cli::check::tests::component;
use crate::digest::Digest;

/// What every task of the tests takes.
const SCHEMA: &str = r#"{
    "type": "object",
    "properties": {
        "month": {"type": "string"},
        "page": {"type": ["integer", "null"], "minimum": 0},
        "kind": {"enum": ["open", "paid"]}
    },
    "required": ["month"]
}"#;

/// Grants, components and a DAG folder.
struct Setup(tempfile::TempDir);

impl Setup {
    /// With the task `sync`, which the DAG `billing` may run.
    fn new() -> Self {
        let setup = Self(tempfile::tempdir().unwrap());
        fs::create_dir(setup.path("grants")).unwrap();
        fs::create_dir(setup.path("dags")).unwrap();
        setup.task("sync", "dags = [\"billing\"]\nidentity = \"claimed\"", "");
        setup
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }

    fn task(&self, name: &str, caller: &str, more: &str) {
        let manifest =
            format!(r#"{{"format":1,"name":"{name}","needs":{{}},"input_schema":{SCHEMA}}}"#);
        let bytes = component(&[], Some(&manifest));
        let digest = Digest::of(&bytes);
        self.write(&format!("{name}.wasm"), bytes);
        self.write(
            &format!("grants/{name}.toml"),
            format!(
                "task = \"{name}\"\ncomponent = \"{name}.wasm\"\ndigest = \"{digest}\"\n\
                 [caller]\n{caller}\n{more}"
            ),
        );
    }

    fn dag(&self, name: &str, text: &str) {
        self.write(&format!("dags/{name}"), format!("{IMPORTS}{text}"));
    }

    fn report(&self, only: &[&str]) -> Report {
        let dags = Dags {
            folder: self.path("dags"),
            python: "python3".into(),
            only: only.iter().map(|task| task.parse().unwrap()).collect(),
        };
        let grants = grants::load_all(&self.path("grants")).unwrap();
        dags.judge(self.0.path(), grants, "cofferdam.toml".into())
            .unwrap()
    }

    fn text(&self) -> String {
        let folder = format!("{}/", self.0.path().display());
        self.report(&[]).to_string().replace(&folder, "")
    }

    /// What is told of these lines in a DAG that may run `sync`.
    fn told(text: &str) -> String {
        let setup = Self::new();
        setup.dag("a.py", text);
        setup.text()
    }
}

/// Six lines.
const IMPORTS: &str = "\
from airflow.sdk import DAG, dag, task
from airflow_provider_cofferdam import CofferdamOperator
import airflow_provider_cofferdam.operator as x

SYNC = 'sync'

";

#[test]
fn every_way_to_ask_is_recognised() {
    let setup = Setup::new();
    setup.task(
        "report",
        "dags = [\"billing\", \"monthly\", \"weekly\", \"named\"]\nidentity = \"claimed\"",
        "",
    );
    setup.dag(
        "ways.py",
        r#"
with DAG("billing", schedule=None) as first, other():
    CofferdamOperator(task_id="a", task=SYNC, input={"month": "2026-10", "page": None})
    x.CofferdamOperator(task="report", input=dict(month=f"{year}"), limits={"timeout": "5s"})
    with TaskGroup("g"):
        [CofferdamOperator.partial(task="report").expand(input=[{"month": "a"}, {"month": "b"}])]

weekly = DAG(dag_id="weekly")
later = CofferdamOperator.partial(task="report", dag=weekly)
later.expand(input=[{"month": "a"}])

@dag(schedule=None)
def monthly():
    @task.cofferdam("report")
    def report(month: str, page=1):
        "A signature."

    report("a") >> report.override(task_id="b")(month="c", page=2)
    report.partial(page=3).expand(month=["a", "b"])

monthly()

@task.cofferdam(task="report", limits={"memory": "64MiB"})
def at_top(month, *, kind="open"): ...

@dag(dag_id="named")
def under_another_name():
    at_top("m")
"#,
    );
    assert_snapshot!(setup.text(), @r"
    dags/ways.py:8: DAG `billing` asks for `sync` (line 9), `report` (line 10), `report` (line 12)
    dags/ways.py:14: DAG `weekly` asks for `report` (line 16)
    dags/ways.py:18: DAG `monthly` asks for `report` (line 24), `report` (line 24), `report` (line 25)
    dags/ways.py:32: DAG `named` asks for `report` (line 34)
    1 file, 4 DAGs against 2 tasks: 0 errors, 0 warnings, 0 notes
    ");
    assert_eq!(setup.report(&[]).exit(), Exit::Done);
}

#[test]
fn what_fails_at_night_is_told_with_its_cure() {
    let setup = Setup::new();
    setup.task("proven", "dags = [\"billing\"]", "");
    setup.task(
        "tight",
        "dags = [\"billing\"]\nidentity = \"claimed\"",
        "[limits]\ntimeout = \"10s\"\n",
    );
    setup.write("grants/broken.toml", "task = \"broken\"\n");
    setup.dag(
        "night.py",
        r#"
with DAG("billing"):
    CofferdamOperator(task="sinc", input={"month": "a"})
    CofferdamOperator(task="Sync", input={"month": "a"})
    CofferdamOperator(input={"month": "a"})
    CofferdamOperator(task="broken")
    CofferdamOperator(task="proven", input={"month": "a"})
    CofferdamOperator(task="sync")
    CofferdamOperator(task="sync", input={
        "mnth": "hunter2",
        "page": "hunter2",
        "kind": "hunter2",
    })
    CofferdamOperator(task="sync", input=["hunter2"])
    CofferdamOperator(task="sync", input={"month": {1, 2}})
    CofferdamOperator(task="tight", input={"month": "a"}, limits={
        "timeout": "1m",
        "grace": "1s",
        "memory": "64",
        "host_calls": 2_000_000,
    })
    CofferdamOperator.partial(task="sync").expand(input=[{"month": "a"}, {"month": 3}])

with DAG("others"):
    CofferdamOperator(task="sync", input={"month": "a"})
"#,
    );
    let text = setup.text();
    assert!(!text.contains("hunter2"), "{text}");
    assert_snapshot!(text, @r#"
    dags/night.py:8: DAG `billing` asks for `sinc` (line 9), `Sync` (line 10), `broken` (line 12), `proven` (line 13), `sync` (line 14), `sync` (line 15), `sync` (line 20), `sync` (line 21), `tight` (line 22), `sync` (line 28)
    dags/night.py:30: DAG `others` asks for `sync` (line 31)
    dags/night.py:9: error: there is no grants file for the task `sinc` [task_unknown]
        hint: correct the name, or ask security for grants; there is `broken`, `proven`, `sync`, `tight`
    dags/night.py:10: error: `Sync` is not a valid task name: 1 to 64 of a-z, 0-9 and - [task_unknown]
        hint: there is `broken`, `proven`, `sync`, `tight`
    dags/night.py:11: error: no task is named [task_missing]
        hint: name it: `task="…"`; `cofferdam tasks` lists them
    dags/night.py:12: error: the grants of the task `broken` cannot be used: grants/broken.toml:1:1: `component`: this field is missing; docs/GRANTS.md describes every field [grants_unusable]
        hint: `cofferdam check broken` says more
    dags/night.py:13: error: the grants of the task `proven` demand an attested identity, and a DAG can only claim one [identity_claimed]
        hint: security can accept the DAG's word: `identity = "claimed"` under [caller] of grants/proven.toml
    dags/night.py:14: error: task `sync`: `input` lacks `month`, which the task needs [input_missing]
        hint: the task takes `kind`, `month`, `page`
    dags/night.py:15: error: task `sync`: `input` lacks `month`, which the task needs [input_missing]
        hint: the task takes `kind`, `month`, `page`
    dags/night.py:16: error: task `sync`: the task does not take `input.mnth` [input_unknown]
        hint: the task takes `kind`, `month`, `page`
    dags/night.py:17: error: task `sync`: `input.page` is a string, but the task takes integer or null [input_type]
    dags/night.py:18: error: task `sync`: `input.kind` is none of the values that the task takes [input_value]
        hint: choose one of "open", "paid"
    dags/night.py:20: error: task `sync`: `input` is an array, but the task takes object [input_type]
    dags/night.py:21: error: task `sync`: `input.month` is a set, which JSON does not have [input_type]
    dags/night.py:23: error: task `tight`: `limits.timeout` was asked to be 1m, but the grants allow 10s [limit_wider]
        hint: ask for `10s` at most, or ask security to raise `limits.timeout` of the grants file
    dags/night.py:24: error: task `tight`: `limits.grace`: unknown field `grace`, expected one of `timeout`, `memory`, `output`, `log`, `host_calls` [limit_invalid]
    dags/night.py:25: error: task `tight`: `limits.memory`: `64` is out of range [limit_invalid]
        hint: choose a value from 64KiB to 4GiB
    dags/night.py:26: error: task `tight`: `limits.host_calls` was asked to be 2000000, but the grants allow 1000000 [limit_wider]
        hint: ask for `1000000` at most, or ask security to raise `limits.host_calls` of the grants file
    dags/night.py:28: error: task `sync`: `input.month` is an integer, but the task takes string [input_type]
    dags/night.py:31: error: the DAG `others` may not run the task `sync` [dag_not_granted]
        hint: ask security to add "others" to `dags` under [caller] of grants/sync.toml
    1 file, 2 DAGs against 4 tasks: 18 errors, 0 warnings, 0 notes
    "#);
    assert_eq!(setup.report(&[]).exit(), Exit::Failed);
}

#[test]
fn decorated_functions_are_held_against_task_and_calls() {
    assert_snapshot!(Setup::told(r#"
with DAG("billing"):
    @task.cofferdam("sync")
    def misnamed(mnth, page="x", ds=None): ...
    misnamed("a")

    @task.cofferdam("sync")
    def called(month, page=None, *, kind="open"): ...
    called()
    called("a", "b", "c", pge=1)
    called(3, kind="shut")
    called.expand(month=["a", 1])
    called(*several, **more)

    @task.cofferdam("sync", limits={"timeout": "2h"})
    def busy(month):
        """With a body."""
        return month
    busy("a")

    @task.cofferdam("sync")
    async def waits(month): ...
    waits("a")

    @task.cofferdam("sync")
    def many(month, **more): return None
    many("a")

    @task.cofferdam
    def nameless(): ...
    nameless()

@task.cofferdam("sync")
def elsewhere(month): ...
"#), @r#"
    dags/a.py:8: DAG `billing` asks for `sync` (line 11), `sync` (line 15), `sync` (line 16), `sync` (line 17), `sync` (line 18), `sync` (line 19), `sync` (line 25), `sync` (line 29), `sync` (line 33)
    dags/a.py: a DAG that the source does not name asks for `sync` (line 39)
    dags/a.py:9: error: task `sync`: `misnamed` lacks `month`, which the task needs [input_missing]
        hint: the task takes `kind`, `month`, `page`
    dags/a.py:10: error: task `sync`: the task does not take the parameter `ds` [input_unknown]
        hint: the task takes `kind`, `month`, `page`
    dags/a.py:10: error: task `sync`: the task does not take the parameter `mnth` [input_unknown]
        hint: the task takes `kind`, `month`, `page`
    dags/a.py:10: error: task `sync`: `page` is a string, but the task takes integer or null [input_type]
    dags/a.py:15: error: `called` is called without `month` [argument_missing]
        hint: correct the call, or the function in line 13
    dags/a.py:16: error: task `sync`: `page` is a string, but the task takes integer or null [input_type]
    dags/a.py:16: error: `called` has fewer parameters than it is given arguments [argument_unknown]
        hint: correct the call, or the function in line 13
    dags/a.py:16: error: `called` has no parameter `pge` [argument_unknown]
        hint: correct the call, or the function in line 13
    dags/a.py:17: error: task `sync`: `month` is an integer, but the task takes string [input_type]
    dags/a.py:17: error: task `sync`: `kind` is none of the values that the task takes [input_value]
        hint: choose one of "open", "paid"
    dags/a.py:18: error: task `sync`: `month` is an integer, but the task takes string [input_type]
    dags/a.py:19: note: not known from the source: `the arguments` (some are unpacked) [not_known]
    dags/a.py:21: error: task `sync`: `limits.timeout` was asked to be 2h, but the grants allow 1m [limit_wider]
        hint: ask for `1m` at most, or ask security to raise `limits.timeout` of the grants file
    dags/a.py:24: error: the body of `busy` would never run [not_a_signature]
        hint: the task is a component of its own; leave a docstring, `...` or `pass`
    dags/a.py:27: error: `waits` is async, and its body never runs [not_a_signature]
        hint: write a plain `def`
    dags/a.py:31: error: `many` takes arguments without a name [not_a_signature]
        hint: name each parameter: they are the fields of the input
    dags/a.py:37: error: no task is named [task_missing]
        hint: name it: `task="…"`; `cofferdam tasks` lists them
    dags/a.py:39: note: which DAG asks for `sync` is not known from the source: the function is not called in this file [not_known]
    1 file, 1 DAG against 1 task: 16 errors, 0 warnings, 2 notes
    "#);
}

#[test]
fn what_the_source_does_not_tell_is_not_guessed() {
    assert_snapshot!(Setup::told(r#"
TWICE = "sync"
TWICE = "other"

with DAG(some_name()):
    CofferdamOperator(task="sync", input={"month": "a"})

with DAG("billing") as d:
    CofferdamOperator(task=TWICE, input={"month": 1})
    CofferdamOperator(task="{{ params.task }}")
    CofferdamOperator(task="sync", input={"month": "{{ ds }}", "page": Variable.get("hunter2"), **more})
    CofferdamOperator(task="sync", input=other.output, limits={"timeout": computed()})
    CofferdamOperator(**everything)
    CofferdamOperator.partial(task="sync").expand(input=before.output)
    CofferdamOperator.partial(task="sync").expand_kwargs(pairs)

def helper():
    CofferdamOperator(task="sync", input={"month": "a"})

class Ours(CofferdamOperator): ...

CofferdamOperator(task="sync", input={"month": "a"}, dag=made_elsewhere)
"#), @r"
    dags/a.py:11: a DAG that the source does not name asks for `sync` (line 12)
    dags/a.py:14: DAG `billing` asks for a task that the source does not name (line 15), a task that the source does not name (line 16), `sync` (line 17), `sync` (line 18), a task that the source does not name (line 19), `sync` (line 20), `sync` (line 21)
    dags/a.py: a DAG that the source does not name asks for `sync` (line 24), a task that the source does not name (line 26), `sync` (line 28)
    dags/a.py:11: note: the dag_id is not known from the source: a call of `some_name` [not_known]
    dags/a.py:12: note: which DAG asks for `sync` is not known from the source: a call of `some_name` [not_known]
    dags/a.py:15: note: which task is asked for is not known from the source: `TWICE` [not_known]
    dags/a.py:16: note: which task is asked for is not known from the source: a template [not_known]
    dags/a.py:17: note: not known from the source: `input` (fields that are unpacked or computed) [not_known]
    dags/a.py:18: note: not known from the source: `input` (`other.output`), `limits.timeout` (a call of `computed`) [not_known]
    dags/a.py:19: note: which task is asked for is not known from the source: arguments or defaults that are unpacked [not_known]
    dags/a.py:20: note: not known from the source: `input` (`before.output`) [not_known]
    dags/a.py:24: note: which DAG asks for `sync` is not known from the source: no DAG is named around it [not_known]
    dags/a.py:26: note: which task is asked for is not known from the source: a class of its own [not_known]
    dags/a.py:28: note: which DAG asks for `sync` is not known from the source: no DAG is named around it [not_known]
    1 file, 2 DAGs against 1 task: 0 errors, 0 warnings, 11 notes
    ");
}

#[test]
fn what_only_looks_like_ours_is_none_of_our_business() {
    assert_snapshot!(Setup::told(r#"
from elsewhere import CofferdamOperator, task
with DAG("billing"):
    CofferdamOperator(task="nothing")
    @task.cofferdam("nothing")
    def f(x): return x
    f(1)
    x = 1
    x.CofferdamOperator(task="nothing")
"#), @r"
    grants/sync.toml:1: warning: no DAG asks for the task `sync` [task_unused]
        hint: take the grants away: what is not granted cannot be misused
    1 file, 1 DAG against 1 task: 0 errors, 1 warning, 0 notes
    ");
}

#[test]
fn leftovers_of_the_grants_are_warned_of() {
    let setup = Setup::new();
    setup.task("spare", "dags = [\"billing\"]\nidentity = \"claimed\"", "");
    setup.task(
        "sync",
        "identity = \"claimed\"\ndags = [\"billing\", \"gone\", \"idle\"]",
        "",
    );
    setup.dag(
        "a.py",
        "with DAG('billing'):\n    CofferdamOperator(task='sync', input={'month': 'a'})\n\
         DAG('idle')\n",
    );
    assert_snapshot!(setup.text(), @r"
    dags/a.py:7: DAG `billing` asks for `sync` (line 8)
    grants/spare.toml:1: warning: no DAG asks for the task `spare` [task_unused]
        hint: take the grants away: what is not granted cannot be misused
    grants/sync.toml:6: warning: no DAG has the dag_id `gone`, which may run `sync` [dag_unused]
        hint: remove it from `dags` under [caller]
    grants/sync.toml:6: warning: the DAG `idle` does not ask for the task `sync` [dag_unused]
        hint: remove it from `dags` under [caller]
    1 file, 2 DAGs against 2 tasks: 0 errors, 3 warnings, 0 notes
    ");
    assert_eq!(setup.report(&[]).exit(), Exit::Done);
    // What may be asked for somewhere is not called unused.
    setup.dag("b.py", "CofferdamOperator(task=unknown())\n");
    let told = setup.report(&[]);
    assert!(
        told.findings.iter().all(|it| it.severity == Severity::Note),
        "{told}"
    );
    // Named tasks are the only ones that matter.
    setup.dag("b.py", "CofferdamOperator(task='nothing')\n");
    let told = setup.report(&["sync"]);
    assert!(
        told.findings
            .iter()
            .all(|it| it.task.as_deref() == Some("sync"))
    );
    let told = setup.report(&["nowhere"]);
    assert_eq!(told.exit(), Exit::Failed);
}

#[test]
fn a_component_that_is_not_the_reviewed_one_says_nothing() {
    let setup = Setup::new();
    setup.write("sync.wasm", "");
    setup.dag(
        "a.py",
        "with DAG('billing'):\n    CofferdamOperator(task='sync', input={'mnth': 1})\n",
    );
    assert_snapshot!(setup.text(), @r"
    dags/a.py:7: DAG `billing` asks for `sync` (line 8)
    grants/sync.toml:2: note: the input of the task `sync` is not judged: its component is not the one that was reviewed [not_known]
        hint: `cofferdam build` embeds the schema; `cofferdam check` compares the digest
    1 file, 1 DAG against 1 task: 0 errors, 0 warnings, 1 note
    ");
}

#[test]
fn machines_read_the_same() {
    let setup = Setup::new();
    setup.dag(
        "a.py",
        "with DAG('billing'):\n    CofferdamOperator(task='sync')\nDAG('idle')\n",
    );
    let json = serde_json::to_value(setup.report(&[])).unwrap();
    let folder = setup.path("dags").display().to_string();
    let text = serde_json::to_string_pretty(&json).unwrap();
    assert_snapshot!(text.replace(&folder, "dags"), @r#"
    {
      "config": "cofferdam.toml",
      "counts": {
        "errors": 1,
        "notes": 0,
        "warnings": 0
      },
      "dags": [
        {
          "dag": "billing",
          "file": "dags/a.py",
          "line": 7,
          "tasks": [
            {
              "line": 8,
              "task": "sync"
            }
          ]
        },
        {
          "dag": "idle",
          "file": "dags/a.py",
          "line": 9,
          "tasks": []
        }
      ],
      "files": 1,
      "findings": [
        {
          "code": "input_missing",
          "dag": "billing",
          "file": "dags/a.py",
          "hint": "the task takes `kind`, `month`, `page`",
          "line": 8,
          "problem": "task `sync`: `input` lacks `month`, which the task needs",
          "severity": "error",
          "task": "sync"
        }
      ],
      "folder": "dags",
      "tasks": 1
    }
    "#);
}
