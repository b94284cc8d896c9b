//! The custom section that holds the manifest.
//!
//! A binary is a header of 8 bytes and then sections; only those of the
//! outermost component count, since a nested module may hold anything.

use std::ops::Range;

use wasm_encoder::{ComponentSection, CustomSection};
use wasmparser::{Chunk, Encoding, Parser, Payload};

use super::ManifestError;

/// The custom section's name.
pub const SECTION: &str = "cofferdam:task";

/// Largest manifest in bytes. Schemas of real tasks are a few KiB.
pub const MAX_SECTION: usize = 256 * 1024;

/// The content of the one manifest section.
pub(super) fn find(component: &[u8]) -> Result<Option<&[u8]>, ManifestError> {
    let mut found = None;
    for_each_section(component, |_, manifest| {
        let Some(content) = manifest else {
            return Ok(());
        };
        if content.len() > MAX_SECTION {
            return Err(ManifestError::TooLarge(content.len()));
        }
        match found.replace(content) {
            Some(_) => Err(ManifestError::Twice),
            None => Ok(()),
        }
    })?;
    Ok(found)
}

/// The component without any manifest section, and with this one at its end.
pub(super) fn replace(component: &[u8], content: &[u8]) -> Result<Vec<u8>, ManifestError> {
    if content.len() > MAX_SECTION {
        return Err(ManifestError::TooLarge(content.len()));
    }
    let mut bytes = Vec::with_capacity(component.len() + content.len() + 32);
    for_each_section(component, |range, manifest| {
        if manifest.is_none() {
            bytes.extend_from_slice(component.get(range).unwrap_or_default());
        }
        Ok(())
    })?;
    let section = CustomSection {
        name: SECTION.into(),
        data: content.into(),
    };
    section.append_to_component(&mut bytes);
    Ok(bytes)
}

/// Visits the header and each outermost section with its range, and with its
/// content when it is a manifest.
fn for_each_section<'a>(
    component: &'a [u8],
    mut visit: impl FnMut(Range<usize>, Option<&'a [u8]>) -> Result<(), ManifestError>,
) -> Result<(), ManifestError> {
    let mut parser = Parser::new(0);
    let mut start = 0;
    while let Some(rest) = component.get(start..) {
        let (consumed, payload) = match parser.parse(rest, true)? {
            Chunk::Parsed { consumed, payload } => (consumed, payload),
            // Not with `eof` set; treated as the end of a cut file.
            Chunk::NeedMoreData(_) => return Err(ManifestError::NotAComponent),
        };
        let mut end = start + consumed;
        let mut manifest = None;
        match payload {
            Payload::Version { encoding, .. } if encoding != Encoding::Component => {
                return Err(ManifestError::NotAComponent);
            }
            Payload::ModuleSection {
                unchecked_range, ..
            }
            | Payload::ComponentSection {
                unchecked_range, ..
            } => {
                // The parser already counts what is nested as consumed.
                end = unchecked_range.end;
            }
            Payload::CustomSection(section) if section.name() == SECTION => {
                manifest = Some(section.data());
            }
            Payload::End(_) => return Ok(()),
            _ => {}
        }
        if end > component.len() {
            return Err(ManifestError::Cut);
        }
        visit(start..end, manifest)?;
        start = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use wasm_encoder::{Component, Module, ModuleSection};

    use super::*;

    fn component(sections: &[(&str, &[u8])]) -> Vec<u8> {
        let mut inner = Module::new();
        inner.section(&CustomSection {
            name: SECTION.into(),
            data: b"nested: not ours".into(),
        });
        let mut component = Component::new();
        component.section(&ModuleSection(&inner));
        for (name, data) in sections {
            component.section(&CustomSection {
                name: (*name).into(),
                data: (*data).into(),
            });
        }
        component.finish()
    }

    #[test]
    fn only_the_outermost_section_counts() {
        assert_eq!(find(&component(&[("other", b"x")])).unwrap(), None);
        let one = component(&[("other", b"x"), (SECTION, b"{}")]);
        assert_eq!(find(&one).unwrap(), Some(&b"{}"[..]));
    }

    #[test]
    fn two_manifests_are_refused_and_replaced() {
        let two = component(&[(SECTION, b"1"), ("other", b"x"), (SECTION, b"2")]);
        assert!(matches!(find(&two), Err(ManifestError::Twice)));
        let fresh = replace(&two, b"3").unwrap();
        assert_eq!(find(&fresh).unwrap(), Some(&b"3"[..]));
        assert_eq!(fresh, component(&[("other", b"x"), (SECTION, b"3")]));
        assert_eq!(replace(&fresh, b"3").unwrap(), fresh);
    }

    #[test]
    fn a_manifest_is_bounded() {
        let big = vec![b' '; MAX_SECTION + 1];
        let bytes = component(&[(SECTION, &big)]);
        assert!(matches!(find(&bytes), Err(ManifestError::TooLarge(_))));
        assert!(matches!(
            replace(&component(&[]), &big),
            Err(ManifestError::TooLarge(_))
        ));
        let full = replace(&component(&[]), &big[1..]).unwrap();
        assert_eq!(find(&full).unwrap().unwrap().len(), MAX_SECTION);
    }

    #[test]
    fn a_core_module_is_not_a_component() {
        let module = Module::new().finish();
        assert!(matches!(find(&module), Err(ManifestError::NotAComponent)));
        assert!(find(b"").is_err());
        assert!(find(b"#!/bin/sh\n").is_err());
    }

    #[test]
    fn a_cut_component_is_refused() {
        let bytes = component(&[("other", b"x"), (SECTION, b"{}")]);
        // Ends of sections are the only places where a cut leaves a binary.
        let mut ends = Vec::new();
        for_each_section(&bytes, |range, _| {
            ends.push(range.end);
            Ok(())
        })
        .unwrap();
        for cut in 0..bytes.len() {
            assert_eq!(find(&bytes[..cut]).is_ok(), ends.contains(&cut), "{cut}");
        }
    }
}
