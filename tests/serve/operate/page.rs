//! The page's blocks, in the order of the page.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use cofferdam::client::Client;
use cofferdam_devkit::openbao::{DevOptions, OpenBao};
use cofferdam_devkit::process::{free_port, write_private};
use serde_json::{Value, json};

use super::machine::Machine;
use super::systemd::Systemd;
use crate::common::{nobody_lives, until};
use crate::guide::section_of;

/// What stands on the page in place of what each operator has of his own.
const VAULT: &str = "https://vault.example.com:8200";
const LISTEN: &str = "0.0.0.0:8443";
const PORT: &str = "localhost:8443";

const FOLDER: &str = "/etc/cofferdam";
const FILE: &str = "/etc/cofferdam/cofferdam.toml";
const SOCKET: &str = "/run/cofferdam/cofferdam.sock";

/// A machine with Airflow, on which nothing of ours was ever installed.
const BEFORE: &str = "\
for user in cofferdam airflow; do ! id $user > /dev/null 2>&1 || userdel -f $user; done
rm -rf /usr/bin/cofferdam /etc/systemd/system/cofferdam.*
for above in /etc /run /var/lib /var/log /var/cache; do rm -rf $above/cofferdam; done
useradd --system airflow
";

/// A run, as a caller asks for it.
const RUN: &str = "cofferdam run hello --dag-id examples --input '{\"name\": \"Ada\"}' \
                   --server /run/cofferdam/cofferdam.sock";

/// What the example says.
const GREETING: &str = r#"{"greeting":"Hello, Ada!"}"#;

#[tokio::test]
async fn the_page_leads_to_a_service_that_is_running_watched_and_upgraded() {
    let (machine, bao) = (
        Machine::start(),
        OpenBao::start_dev(DevOptions::default()).unwrap(),
    );
    machine.type_in(&machine.tree(), BEFORE);
    let mut systemd = set_up(&machine, &bao);
    watch(&machine).await;
    ask(&machine);
    call_over_tcp(&machine, &mut systemd);
    reload(&machine, &systemd);
    upgrade(&machine, &mut systemd);
    systemd.stop();
    let verify = format!("cofferdam --config {FILE} audit verify");
    machine.type_in(&machine.tree(), &verify);
    nobody_lives(&bao).await;
}

/// "Set it up": its caller can use it, and the doctor finds no fault.
fn set_up<'a>(machine: &'a Machine, bao: &OpenBao) -> Systemd<'a> {
    let page = section_of("OPERATE.md", "Set it up");
    let ([place, task, vault, try_it], [config]) = (&page.shell[..], &page.settings[..]) else {
        panic!("{page:?}")
    };
    let tree = machine.tree();
    machine.type_in(&tree, place);
    let config = here(config, VAULT, &bao.address());
    machine.write(FILE, &config);
    // This machine's file alone.
    assert_ne!(std::fs::read_to_string(FILE).ok(), Some(config));
    machine.type_in(&tree, task);
    write_private(&tree.join("admin-token"), bao.root_token()).unwrap();
    machine.type_in_with(&tree, vault, bao);
    let secret = machine.path(FOLDER).join("secret-id").metadata().unwrap();
    let (service, _) = machine.id_of("cofferdam");
    assert_eq!((secret.uid(), secret.mode() & 0o777), (service, 0o600));
    assert!(!tree.join("secret-id").exists());

    let systemd = Systemd::enable(machine);
    let tried = machine.type_in(&tree, try_it);
    assert!(tried.stdout.contains(GREETING), "{tried:?}");
    assert!(!tried.stdout.contains("\n fault "), "{tried:?}");
    let warnings = tried.stdout.lines();
    let warnings: Vec<_> = warnings.filter(|it| it.starts_with(" warning ")).collect();
    let [warning] = warnings[..] else {
        panic!("{tried:?}")
    };
    assert!(warning.contains("host.user"), "{warning}");
    assert!(warning.contains("1 other processes"), "{warning}");
    let (airflow, _) = machine.id_of("airflow");
    let audit = audit(machine);
    let mut begun = audit.iter().filter(|it| it["event"] == "run_started");
    assert_eq!(begun.next().unwrap()["caller"]["uid"], json!(airflow));
    systemd
}

/// "Watch it": it is ready, and its numbers can be read.
async fn watch(machine: &Machine) {
    let page = section_of("OPERATE.md", "Watch it");
    let [numbers] = &page.shell[..] else {
        panic!("{page:?}")
    };
    let told = machine.type_in(&machine.tree(), numbers).stdout;
    assert!(told.contains("\ncofferdam_ready 1\n"), "{told}");
    let done = r#"cofferdam_runs_total{task="hello",outcome="done",exit="0"} 1"#;
    assert!(told.contains(done), "{told}");
    let ready = Client::unix(machine.path(SOCKET)).ready().await.unwrap();
    assert!(ready.ready, "{ready:?}");
}

/// "The API", as its caller.
fn ask(machine: &Machine) {
    let page = section_of("OPERATE.md", "The API");
    let [calls] = &page.shell[..] else {
        panic!("{page:?}")
    };
    let told = machine.type_in_as("airflow", &machine.tree(), calls).stdout;
    let told = serde_json::Deserializer::from_str(&told).into_iter();
    let told: Vec<Value> = told.map(Result::unwrap).collect();
    let [tasks, run] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(tasks["tasks"][0]["name"], "hello", "{tasks}");
    assert_eq!(run["state"], "ended", "{run}");
    assert_eq!(run["report"]["result"].to_string(), GREETING, "{run}");
}

/// "Over TCP", with certificates.
fn call_over_tcp(machine: &Machine, systemd: &mut Systemd<'_>) {
    let page = section_of("OPERATE.md", "Over TCP");
    let ([certificates, calls], [table, _tokens]) = (&page.shell[..], &page.settings[..]) else {
        panic!("{page:?}")
    };
    let port = free_port().unwrap();
    let folder = Path::new(FOLDER);
    machine.type_in(folder, certificates);
    machine.append(FILE, &here(table, LISTEN, &format!("127.0.0.1:{port}")));
    systemd.restart();
    let listens = format!("serving on https://127.0.0.1:{port}");
    until("it says where it listens", || systemd.told(&listens) == 1);
    let called = here(calls, PORT, &format!("localhost:{port}"));
    let called = machine.type_in(folder, &called);
    assert!(called.stdout.contains(GREETING), "{called:?}");
    let caller = json!({ "via": "certificate", "subject": "cn:worker-7" });
    assert!(audit(machine).iter().any(|it| it["caller"] == caller));
}

/// "Reload": a rule takes effect, and not before.
fn reload(machine: &Machine, systemd: &Systemd<'_>) {
    let rule = "[[server.allow]]\nusers = [\"nobody\"]\ntasks = [\"hello\"]\n";
    machine.append(FILE, rule);
    let is_refused = format!("{RUN} || test $? = 3");
    let told = machine.type_in_as("nobody", &machine.tree(), &is_refused);
    assert!(told.stdout.is_empty(), "{told:?}");
    systemd.reload();
    let told = machine.type_in_as("nobody", &machine.tree(), RUN);
    assert!(told.stdout.contains(GREETING), "{told:?}");
}

/// "Upgrade": what was done before is known after it.
fn upgrade(machine: &Machine, systemd: &mut Systemd<'_>) {
    let page = section_of("OPERATE.md", "Reload, stop, upgrade");
    let [install, after] = &page.shell[..] else {
        panic!("{page:?}")
    };
    let tree = machine.tree();
    let once = format!("{RUN} --format json --idempotency-key once");
    let before = machine.type_in_as("airflow", &tree, &once);
    machine.type_in(&tree, install);
    assert!(machine.path("/usr/bin/cofferdam.before").exists());
    systemd.restart();
    let told = machine.type_in(&tree, after);
    assert!(told.stdout.contains("drain  ok"), "{told:?}");
    let lines = audit(machine).len();
    let again = machine.type_in_as("airflow", &tree, &once);
    assert_eq!(again.report().unwrap(), before.report().unwrap());
    assert_eq!(audit(machine).len(), lines, "nothing ran anew");
}

/// A block with what this machine has in place of what stands on the page.
fn here(block: &str, page: &str, ours: &str) -> String {
    assert!(block.contains(page), "no {page} in {block}");
    block.replace(page, ours)
}

/// The lines of the service's audit, in their order.
fn audit(machine: &Machine) -> Vec<Value> {
    let folder = std::fs::read_dir(machine.path("/var/log/cofferdam")).unwrap();
    let mut files: Vec<_> = folder.map(|file| file.unwrap().path()).collect();
    files.sort();
    let mut lines = Vec::new();
    for file in files {
        for line in std::fs::read_to_string(file).unwrap().lines() {
            lines.push(serde_json::from_str(line).unwrap());
        }
    }
    lines
}
