//! `cofferdam tasks`: which tasks there are, what they take and who may run them.

use std::path::Path;

use comfy_table::{Table, presets};
use serde_json::Value;

use super::server::{self, AccessArgs, Server};
use super::{Failure, Format, Globals, Output};
use crate::api::{TaskList, TaskView};
use crate::config::HostConfig;
use crate::config::strict::one_line;
use crate::diagnostic::Exit;
use crate::grants::{self, Grants, GrantsFile};
use crate::manifest::{self, Manifest};
use crate::name::TaskName;

/// List the tasks: what they need, who may run them, what they take and give.
///
/// Without `--server` they are those of the grants folder; nothing is compiled, and
/// Vault is not asked. `--format json` writes what a service answers to
/// `GET /v1/tasks`, with the schemas.
///
/// Exit codes: 0 done, also when a task cannot be used, 2 the configuration or the
/// grants folder cannot be read, 3 the service does not know us, 4 it cannot be reached.
#[derive(Debug, clap::Args)]
pub(super) struct TasksArgs {
    /// The service to ask: its Unix socket, or `https://HOST:PORT`.
    #[arg(long, value_name = "SOCKET|URL", value_parser = server::parser())]
    server: Option<Server>,
    #[command(flatten)]
    access: AccessArgs,
}

pub(super) async fn execute(
    args: TasksArgs,
    globals: &Globals,
    output: &Output,
) -> Result<Exit, Failure> {
    let list = match args.server {
        Some(server) => server::client(&server, args.access)?.tasks().await?,
        None => {
            let config = HostConfig::load(&globals.config)?;
            local(&config.root, grants::load_all(&config.grants)?)
        }
    };
    match output.format() {
        Format::Json => output.json(&list),
        Format::Text if list.tasks.is_empty() => output.note("there are no tasks"),
        Format::Text => output.data(table(&list)),
    }
    Ok(Exit::Done)
}

/// The tasks of the grants folder. A file that is not named after a task is none.
fn local(root: &Path, files: Vec<GrantsFile>) -> TaskList {
    let view = |file: GrantsFile| {
        let name: TaskName = file.path.file_stem()?.to_str()?.parse().ok()?;
        Some(match &file.grants {
            Ok(grants) => match grants::pinned(root, grants).filter(|it| is_usable(it, grants)) {
                Some(bytes) => {
                    let manifest = Manifest::read(&bytes).ok().flatten();
                    TaskView::of(&name, Some(grants), manifest.as_ref())
                }
                None => TaskView::of(&name, Some(grants), None).unusable("component"),
            },
            Err(_) => TaskView::of(&name, None, None).unusable("grants"),
        })
    };
    TaskList {
        tasks: files.into_iter().filter_map(view).collect(),
    }
}

/// Whether a service would load these bytes, as far as that is known without
/// compiling: a component, a task, and no import without a grant.
fn is_usable(bytes: &[u8], grants: &Grants) -> bool {
    manifest::shape(bytes).is_ok_and(|shape| {
        shape.exports.iter().any(|name| name == "run")
            && grants::uncovered(&shape.imports, grants).is_empty()
    })
}

fn table(list: &TaskList) -> String {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING);
    table.set_header([
        "TASK", "VERSION", "INPUT", "OUTPUT", "NEEDS", "DAGS", "STATE",
    ]);
    for task in &list.tasks {
        let needs = task
            .needs
            .iter()
            .map(|(name, kind)| format!("{kind}.{name}"));
        table.add_row([
            task.name.clone(),
            one_line(task.version.as_deref().unwrap_or("-")),
            shape(task.input_schema.as_ref()),
            shape(task.output_schema.as_ref()),
            or_none(needs.collect()),
            or_none(task.dags.clone()),
            one_line(task.unusable.as_deref().unwrap_or("usable")),
        ]);
    }
    table.trim_fmt()
}

fn or_none(words: Vec<String>) -> String {
    match words.is_empty() {
        true => "-".to_owned(),
        false => one_line(words.join(", ")),
    }
}

/// A schema in a few words: its fields, of which those that may be left out have a `?`.
fn shape(schema: Option<&Value>) -> String {
    let Some(schema) = schema else {
        return "-".to_owned();
    };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required =
        |name: &str| required.is_some_and(|all| all.iter().any(|one| one.as_str() == Some(name)));
    match schema.get("properties").and_then(Value::as_object) {
        Some(fields) if !fields.is_empty() => {
            let field = |name: &String| match is_required(name) {
                true => name.clone(),
                false => format!("{name}?"),
            };
            or_none(fields.keys().map(field).collect())
        }
        _ => match schema.get("type") {
            Some(Value::String(name)) => one_line(name),
            _ => "any".to_owned(),
        },
    }
}

#[cfg(test)]
mod tests {
    use insta::assert_snapshot;
    use serde_json::json;

    use super::*;

    fn view(name: &str) -> TaskView {
        TaskView::of(&name.parse().unwrap(), None, None)
    }

    #[test]
    fn a_table_shows_each_task_in_a_line() {
        let mut whole = view("invoice-sync");
        whole.version = Some("1.2.0".to_owned());
        whole.needs = [("billing", "http"), ("signer", "keys")]
            .map(|(name, kind)| (name.to_owned(), kind.to_owned()))
            .into();
        whole.dags = vec!["billing".to_owned(), "month\nly".to_owned()];
        whole.input_schema = Some(json!({
            "type": "object",
            "properties": {"label": {}, "page": {}},
            "required": ["label"],
        }));
        whole.output_schema = Some(json!({"type": "integer"}));
        let mut bare = view("bare");
        bare.input_schema = Some(json!(true));
        let list = TaskList {
            tasks: vec![whole, bare, view("broken").unusable("component")],
        };
        assert_snapshot!(table(&list), @r"
        TASK          VERSION  INPUT         OUTPUT   NEEDS                      DAGS                STATE
        invoice-sync  1.2.0    label, page?  integer  http.billing, keys.signer  billing, month\nly  usable
        bare          -        any           -        -                          -                   usable
        broken        -        -             -        -                          -                   its component cannot be used
        ");
    }
}
