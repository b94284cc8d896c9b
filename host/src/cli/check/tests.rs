use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use insta::assert_snapshot;
use wasm_encoder::{
    Component, ComponentExportKind, ComponentExportSection, ComponentImportSection,
    ComponentTypeRef, ComponentTypeSection, CustomSection, InstanceType,
};

use super::*;
use crate::digest::Digest;

const KEYS: &str =
    "[keys.signer]\ntransit = { mount = \"transit\", key = \"k\" }\nallow = [\"sign\"]\n";
const KEYS_IMPORT: &str = "cofferdam:capabilities/keys@0.1.0";

/// A folder with a configuration, one task's grants and its component.
struct Setup(tempfile::TempDir);

impl Setup {
    fn new(tables: &str, component: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("grants")).unwrap();
        let setup = Self(folder);
        setup.write(
            "cofferdam.toml",
            "[vault]\naddress = \"http://127.0.0.1:8200\"\n\
             [vault.auth.token_file]\npath = \"token\"\n",
        );
        setup.write("sync.wasm", component);
        let digest = Digest::of(component);
        setup.grants(&format!("digest = \"{digest}\""), tables);
        setup
    }

    fn grants(&self, digest: &str, tables: &str) {
        let text = format!(
            "task = \"sync\"\ncomponent = \"sync.wasm\"\n{digest}\n[caller]\ndags = [\"d\"]\n{tables}"
        );
        self.write("grants/sync.toml", text);
    }

    fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.0.path().join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(path, Permissions::from_mode(0o644)).unwrap();
    }

    fn report(&self) -> Report {
        let config = HostConfig::load(&self.0.path().join("cofferdam.toml")).unwrap();
        let files = grants_files(&config, Vec::new()).unwrap();
        Report {
            config: "cofferdam.toml".into(),
            tasks: files
                .into_iter()
                .map(|file| TaskReport::new(&file, task::check(&config, &file)))
                .collect(),
        }
    }

    fn text(&self) -> String {
        let folder = self.0.path().display().to_string();
        self.report().to_string().replace(&folder, "…")
    }
}

pub(super) fn component(imports: &[&str], manifest: Option<&str>) -> Vec<u8> {
    let mut component = Component::new();
    let mut types = ComponentTypeSection::new();
    types.instance(&InstanceType::new());
    component.section(&types);
    let mut section = ComponentImportSection::new();
    for name in ["cofferdam:task/log@0.1.0"].iter().chain(imports) {
        section.import(*name, ComponentTypeRef::Instance(0));
    }
    component.section(&section);
    let mut exports = ComponentExportSection::new();
    exports.export("run", ComponentExportKind::Instance, 0, None);
    component.section(&exports);
    if let Some(manifest) = manifest {
        component.section(&CustomSection {
            name: "cofferdam:task".into(),
            data: manifest.as_bytes().into(),
        });
    }
    component.finish()
}

fn manifest(name: &str, needs: &str) -> String {
    format!("{{\"format\":1,\"name\":\"{name}\",\"needs\":{{{needs}}}}}")
}

#[test]
fn a_task_that_fits_is_ok() {
    for manifest in [None, Some(manifest("sync", "\"signer\":\"keys\""))] {
        let setup = Setup::new(KEYS, &component(&[KEYS_IMPORT], manifest.as_deref()));
        assert_eq!(setup.text(), "…/grants/sync.toml: ok");
        assert_eq!(setup.report().exit(), Exit::Done);
    }
}

#[test]
fn a_changed_component_shows_both_lines() {
    let setup = Setup::new("", &component(&[], None));
    setup.grants(
        "digest = \"sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad\"",
        "",
    );
    assert_snapshot!(setup.text(), @r#"
    …/grants/sync.toml: 1 finding
      - …/grants/sync.toml: `digest`: the component is not the one that was reviewed
        old: digest = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        new: digest = "sha256:625992df06bad2957ba57b121c72ea9a8b5ebaf4ffc9bbf684038d9afec8dd63"
        hint: review what changed in the component, then replace the line
    "#);
    assert_eq!(setup.report().exit(), Exit::Failed);
}

#[test]
fn imports_and_grants_are_compared() {
    let setup = Setup::new("", &component(&[KEYS_IMPORT, "env"], None));
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 2 findings
      - …/grants/sync.toml: the component imports `cofferdam:capabilities/keys@0.1.0`, but no `[keys.…]` is granted
        hint: grant what the task needs in a table `[keys.NAME]`, or build the task without the import
      - …/grants/sync.toml: the component imports `env`, which this host does not offer
        hint: a task has the interfaces of `wit/` and WASI 0.2 without HTTP; build it for the world `cofferdam:task/task`
    ");
    let setup = Setup::new(KEYS, &component(&[], None));
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 1 finding
      - …/grants/sync.toml: `keys.signer`: nothing uses this grant: the component does not import its interface
        hint: remove it: what is not granted cannot be misused
    ");
}

#[test]
fn needs_and_grants_are_compared() {
    let needs = manifest("other", "\"signer\":\"http\",\"billing\":\"http\"");
    let setup = Setup::new(
        &format!("{KEYS}{}", KEYS.replace("signer", "spare")),
        &component(&[KEYS_IMPORT], Some(&needs)),
    );
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 4 findings
      - …/grants/sync.toml: `component`: the component was built as the task `other`, not `sync`
        hint: correct the path, or the name in the component's `task.toml`
      - …/grants/sync.toml: the task needs `http.billing`, which is not granted
        hint: grant it in a table `[http.billing]`
      - …/grants/sync.toml: `keys.signer`: the task needs `signer` as `http`, but it is granted as `keys`
        hint: grant it in a table `[http.signer]`, or correct the task's `task.toml`
      - …/grants/sync.toml: `keys.spare`: nothing uses this grant: the task's manifest does not need it
        hint: remove it: what is not granted cannot be misused
    ");
    let setup = Setup::new("", &component(&[], Some("[]")));
    assert!(setup.text().contains("the manifest is not valid"));
}

#[test]
fn what_is_no_task_is_named() {
    let setup = Setup::new("", &wasm_encoder::Module::new().finish());
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 1 finding
      - …/sync.wasm: a core module, not a component
        hint: a task is a component: build it with `cofferdam build`, or for the target `wasm32-wasip2`
    ");
    let setup = Setup::new("", &Component::new().finish());
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 1 finding
      - …/sync.wasm: the component exports no function `run`: it is not a task
        hint: build it for the world `cofferdam:task/task`; the guest SDK's macro does
    ");
    let setup = Setup::new("", b"\0asm\x0d\0\x01\0\xff\xff");
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 1 finding
      - …/sync.wasm: the component is malformed: malformed section id (at offset 0x8)
        hint: build the component again
    ");
    fs::remove_file(setup.0.path().join("sync.wasm")).unwrap();
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 1 finding
      - …/grants/sync.toml: `component`: the component `…/sync.wasm` cannot be read: No such file or directory (os error 2)
        hint: build it with `cofferdam build`, or correct the path; it is relative to the folder of `cofferdam.toml`
    ");
}

#[test]
fn what_the_host_does_not_have_is_named() {
    let setup = Setup::new(
        &format!("{KEYS}[limits]\nmemory = \"2GiB\"\ninstances = 200\ntable_elements = 30000\n"),
        &component(&[KEYS_IMPORT], None),
    );
    setup.write("cofferdam.toml", "");
    assert_snapshot!(setup.text(), @r"
    …/grants/sync.toml: 4 findings
      - …/grants/sync.toml: the grants need Vault, but the configuration has no `[vault]`
        hint: add the table `[vault]` to `cofferdam.toml`; docs/GRANTS.md describes it
      - …/grants/sync.toml: `limits.memory`: 2GiB is more than the engine has: 1GiB
        hint: lower the limit, or raise the one of `[engine]` in `cofferdam.toml` that bounds `memory`
      - …/grants/sync.toml: `limits.table_elements`: 30000 is more than the engine has: 20000
        hint: lower the limit, or raise the one of `[engine]` in `cofferdam.toml` that bounds `table_elements`
      - …/grants/sync.toml: `limits.instances`: 200 is more than the engine has: 100
        hint: lower the limit, or raise the one of `[engine]` in `cofferdam.toml` that bounds `instances`
    ");
}

#[test]
fn a_file_that_is_wrong_does_not_hide_the_others() {
    let setup = Setup::new("", &component(&[], None));
    setup.write("grants/broken.toml", "task = \"broken\"\nfoo = 1\n");
    setup.write("grants/open.toml", "");
    let open = setup.0.path().join("grants/open.toml");
    fs::set_permissions(&open, Permissions::from_mode(0o646)).unwrap();
    assert_snapshot!(setup.text(), @r"
    …/grants/broken.toml: 1 finding
      - …/grants/broken.toml:2:1: `foo`: unknown field `foo`, expected one of `task`, `component`, `digest`, `caller`, `limits`, `authority`, `http`, `keys`, `reveal`, `sql`
        hint: correct the spelling or remove the field; docs/GRANTS.md describes every one
    …/grants/open.toml: 1 finding
      - …/grants/open.toml: `…/grants/open.toml` can be written by others (mode 0646)
        hint: whoever can write it decides about credentials; review it, then run `chmod go-w …/grants/open.toml`
    …/grants/sync.toml: ok
    ");
    let json = serde_json::to_value(setup.report()).unwrap();
    assert_eq!(json["tasks"][0]["findings"][0]["line"], 2);
    assert_eq!(json["tasks"][0]["findings"][0]["code"], "grants");
    assert_eq!(json["tasks"][2]["findings"], serde_json::json!([]));
}

#[test]
fn no_grants_are_no_findings() {
    let setup = Setup::new("", b"");
    fs::remove_file(setup.0.path().join("grants/sync.toml")).unwrap();
    assert_eq!(setup.text(), "cofferdam.toml: ok, no grants");
    fs::remove_dir(setup.0.path().join("grants")).unwrap();
    let config = HostConfig::load(Path::new(&setup.0.path().join("cofferdam.toml"))).unwrap();
    assert!(grants_files(&config, Vec::new()).is_err());
}
