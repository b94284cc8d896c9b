//! The blocks of the pages in docs/, so that what they say is what was tried.

use std::path::Path;
use std::process::Command;

use cofferdam_devkit::openbao::OpenBao;
use cofferdam_devkit::tools;
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

use crate::common::binary;

/// The blocks of one section, in their order.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// What an administrator types.
    pub(crate) shell: Vec<String>,
    /// What stands in `cofferdam.toml`.
    pub(crate) settings: Vec<String>,
    /// What the owner of a database types.
    pub(crate) sql: Vec<String>,
    /// DAG files.
    pub(crate) python: Vec<String>,
}

/// Reads a section of docs/VAULT.md by its heading.
pub(crate) fn section(title: &str) -> Section {
    section_of("VAULT.md", title)
}

/// Reads a section of a page by its heading, with the sections in it.
pub(crate) fn section_of(page: &str, title: &str) -> Section {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../docs")
        .join(page);
    let text = std::fs::read_to_string(path).unwrap();
    let (mut found, mut inside, mut heading) = (Section::default(), None, None);
    let mut block: Option<(String, String)> = None;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(level)) => {
                let heading = heading.take().unwrap_or_default();
                if inside.is_none_or(|outer: HeadingLevel| level <= outer) {
                    inside = (heading == title).then_some(level);
                }
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(name))) => {
                block = Some((name.to_string(), String::new()));
            }
            Event::End(TagEnd::CodeBlock) => {
                let (language, text) = block.take().unwrap_or_default();
                match language.as_str() {
                    _ if inside.is_none() => {}
                    "sh" => found.shell.push(text),
                    "sql" => found.sql.push(text),
                    "toml" => found.settings.push(text),
                    "python" => found.python.push(text),
                    _ => {}
                }
            }
            // A block that is part of a list comes line by line.
            Event::Text(text) => match (&mut heading, &mut block) {
                (Some(so_far), _) | (None, Some((_, so_far))) => so_far.push_str(&text),
                (None, None) => {}
            },
            _ => {}
        }
    }
    let blocks = found.settings.len() + found.shell.len();
    assert!(blocks > 0, "no section {title:?} with blocks");
    found
}

/// Types a block in this folder, as an administrator of this server who has
/// `bao` and `cofferdam` at hand.
pub(crate) fn type_in(folder: &Path, bao: &OpenBao, block: &str, environment: &[(&str, &str)]) {
    let parent = |path: &Path| path.parent().unwrap().display().to_string();
    let path = [
        parent(&tools::bao().unwrap()),
        parent(binary()),
        std::env::var("PATH").unwrap(),
    ];
    let done = Command::new("sh")
        .args(["-e", "-c", block])
        .current_dir(folder)
        .env("PATH", path.join(":"))
        .env("HOME", folder)
        .env("BAO_ADDR", bao.address())
        .env("BAO_TOKEN", bao.root_token())
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    assert!(done.status.success(), "{block}\n{done:?}");
}
