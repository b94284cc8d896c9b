//! The examples' grants files, made to fit this machine: a component's digest
//! changes with the compiler, and the billing API has another port every time.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use cofferdam_devkit::tools;
use sha2::{Digest as _, Sha256};
use toml_edit::{DocumentMut, Item, value};

/// The example without capabilities.
pub(crate) const HELLO: &str = "hello";
/// The example with an HTTP API and a signing key.
pub(crate) const INVOICE_SYNC: &str = "invoice-sync";

/// The example that asks to be tried again.
pub(crate) const SECOND_TRY: &str = "second-try";

/// The example with a database.
pub(crate) const WAREHOUSE_LOAD: &str = "warehouse-load";

/// One example's grants file, as it lies in the repository.
pub(crate) struct Template {
    task: &'static str,
    document: DocumentMut,
}

impl Template {
    pub(crate) fn of(task: &'static str) -> Result<Self> {
        let file = example(task).join("grants").join(format!("{task}.toml"));
        let text = std::fs::read_to_string(&file)
            .with_context(|| format!("cannot read {}", file.display()))?;
        Self::parse(task, &text).with_context(|| format!("in {}", file.display()))
    }

    fn parse(task: &'static str, text: &str) -> Result<Self> {
        let document = text.parse().context("the grants file is not TOML")?;
        Ok(Self { task, document })
    }

    pub(crate) fn task(&self) -> &'static str {
        self.task
    }

    /// The text at this path of keys.
    pub(crate) fn text(&self, path: &[&str]) -> Result<&str> {
        let item = path
            .iter()
            .try_fold(self.document.as_item(), |item, key| item.get(key));
        let text = item.and_then(Item::as_str);
        text.with_context(|| format!("the grants of {} have no {}", self.task, path.join(".")))
    }

    /// A DAG that may run the task.
    pub(crate) fn dag(&self) -> Result<&str> {
        let dags = self
            .document
            .get("caller")
            .and_then(|caller| caller.get("dags"));
        let first = dags.and_then(Item::as_array).and_then(|dags| dags.get(0));
        let first = first.and_then(toml_edit::Value::as_str);
        first.with_context(|| format!("the grants of {} admit no DAG", self.task))
    }

    /// Where the component lies, relative to the folder of `cofferdam.toml`.
    pub(crate) fn component(&self) -> String {
        format!("components/{}.wasm", self.task)
    }

    /// Pins a component that was just built.
    pub(crate) fn pin(&mut self, component: &Path) -> Result<()> {
        let bytes = std::fs::read(component)
            .with_context(|| format!("cannot read {}", component.display()))?;
        let digest = hex::encode(Sha256::digest(bytes));
        self.replace(&["component"], value(self.component()));
        self.replace(&["digest"], value(format!("sha256:{digest}")));
        Ok(())
    }

    /// Points an HTTP grant at a plain server on this machine.
    pub(crate) fn redirect(&mut self, grant: &str, base: &str) {
        self.replace(&["http", grant, "base"], value(base));
        self.replace(&["http", grant, "network"], value("loopback"));
        self.replace(&["http", grant, "plain"], value(true));
    }

    /// Points an SQL grant at a plain server on this machine.
    pub(crate) fn connect(&mut self, grant: &str, server: &str) {
        self.replace(&["sql", grant, "server"], value(server));
        self.replace(&["sql", grant, "network"], value("loopback"));
        self.replace(&["sql", grant, "plain"], value(true));
    }

    /// Sets a value and leaves comments around an old one as they are.
    fn replace(&mut self, path: &[&str], new: Item) {
        let Some((last, tables)) = path.split_last() else {
            return;
        };
        let mut table = self.document.as_table_mut() as &mut dyn toml_edit::TableLike;
        for key in tables {
            let next = table.entry(key).or_insert_with(toml_edit::table);
            match next.as_table_like_mut() {
                Some(next) => table = next,
                // The host's parser will say what is wrong there.
                None => return,
            }
        }
        match (table.get_mut(last), new) {
            (Some(Item::Value(old)), Item::Value(mut new)) => {
                *new.decor_mut() = old.decor().clone();
                *old = new;
            }
            (_, new) => {
                table.insert(last, new);
            }
        }
    }
}

impl std::fmt::Display for Template {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.document.fmt(f)
    }
}

/// The folder of an example.
pub(crate) fn example(task: &str) -> PathBuf {
    tools::workspace().join("examples").join(task)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"# What billing may do.
task = "invoice-sync"
component = "x.wasm"
digest = "sha256:00" # the demo fills this in

[caller]
dags = ["billing"]

[http.billing]
base = "https://billing.example.com/v1/" # production
credential = { kv2 = { mount = "secret", path = "billing", field = "token" } }
"#;

    #[test]
    fn values_change_and_comments_stay() {
        let mut template = Template::parse(INVOICE_SYNC, TEXT).unwrap();
        let path = ["http", "billing", "credential", "kv2", "path"];
        assert_eq!(template.text(&path).unwrap(), "billing");
        assert!(template.text(&["http", "other"]).is_err());
        assert_eq!(template.dag().unwrap(), "billing");

        let folder = cofferdam_devkit::process::private_folder("grants").unwrap();
        let component = folder.path().join("c.wasm");
        std::fs::write(&component, "").unwrap();
        template.pin(&component).unwrap();
        template.redirect("billing", "http://127.0.0.1:1/v1/");
        let expected = r#"# What billing may do.
task = "invoice-sync"
component = "components/invoice-sync.wasm"
digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855" # the demo fills this in

[caller]
dags = ["billing"]

[http.billing]
base = "http://127.0.0.1:1/v1/" # production
credential = { kv2 = { mount = "secret", path = "billing", field = "token" } }
network = "loopback"
plain = true
"#;
        assert_eq!(template.to_string(), expected);
    }
}
