//! The blocks of docs/VAULT.md, so that what it says is what was tried.

use std::path::Path;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};

/// The blocks of one section, in their order.
#[derive(Debug, Default)]
pub(crate) struct Section {
    /// What an administrator types.
    pub(crate) shell: Vec<String>,
    /// What stands in `cofferdam.toml`.
    pub(crate) settings: Vec<String>,
}

/// Reads a section by its heading.
pub(crate) fn section(title: &str) -> Section {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/VAULT.md");
    let text = std::fs::read_to_string(path).unwrap();
    let (mut found, mut inside, mut heading) = (Section::default(), false, None);
    let mut language = None;
    for event in Parser::new(&text) {
        match event {
            Event::Start(Tag::Heading {
                level: HeadingLevel::H2,
                ..
            }) => heading = Some(String::new()),
            Event::End(TagEnd::Heading(HeadingLevel::H2)) => {
                inside = heading.take().is_some_and(|heading| heading == title);
            }
            Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(name))) => {
                language = Some(name.to_string());
            }
            Event::End(TagEnd::CodeBlock) => language = None,
            Event::Text(text) => match (&mut heading, language.as_deref()) {
                (Some(heading), _) => heading.push_str(&text),
                (None, Some("sh")) if inside => found.shell.push(text.to_string()),
                (None, Some("toml")) if inside => found.settings.push(text.to_string()),
                _ => {}
            },
            _ => {}
        }
    }
    assert!(!found.settings.is_empty(), "no section {title:?} with TOML");
    found
}
