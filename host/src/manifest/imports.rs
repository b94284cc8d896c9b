//! What a component imports and exports, read from its bytes alone.

use wasmparser::{Chunk, ComponentTypeRef, Parser, Payload, TypeBounds};

use crate::diagnostic::{Blame, Diagnostic, Exit};

/// The outer names of a component, in the order of the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shape {
    /// Such as `cofferdam:capabilities/http@0.1.0`.
    pub imports: Vec<String>,
    /// Such as `run`.
    pub exports: Vec<String>,
}

/// Bytes that are no component.
#[derive(Debug, thiserror::Error)]
pub enum NotAComponent {
    /// No WebAssembly at all.
    #[error("not a WebAssembly file")]
    NotWasm,
    /// WebAssembly, but a core module.
    #[error("a core module, not a component")]
    CoreModule,
    /// It ends in the middle.
    #[error("the component is cut short")]
    Cut,
    /// Broken.
    #[error("the component is malformed")]
    Malformed(#[from] wasmparser::BinaryReaderError),
}

/// Reads the outer imports and exports. What lies inside (core modules, nested
/// components) is skipped unread, so this costs the same for 18 MB of Python.
///
/// # Errors
/// [`NotAComponent`]; never panics, whatever the bytes are.
pub fn shape(bytes: &[u8]) -> Result<Shape, NotAComponent> {
    if !bytes.starts_with(b"\0asm") {
        return Err(NotAComponent::NotWasm);
    }
    if Parser::is_core_wasm(bytes) {
        return Err(NotAComponent::CoreModule);
    }
    let mut shape = Shape::default();
    let mut parser = Parser::new(0);
    let mut rest = bytes;
    loop {
        // All bytes are there, so the parser never asks for more.
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            return Err(NotAComponent::Cut);
        };
        // After the head of a nested part the parser stands behind that part.
        let mut skip = consumed;
        match payload {
            Payload::ModuleSection {
                unchecked_range: inside,
                ..
            }
            | Payload::ComponentSection {
                unchecked_range: inside,
                ..
            } => skip = skip.saturating_add(inside.len()),
            Payload::ComponentImportSection(imports) => {
                for import in imports {
                    let import = import?;
                    // A `use` in the world imports the name of a known type; there
                    // is nothing to offer for it.
                    if !matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        shape.imports.push(import.name.name.to_owned());
                    }
                }
            }
            Payload::ComponentExportSection(exports) => {
                for export in exports {
                    shape.exports.push(export?.name.name.to_owned());
                }
            }
            Payload::End(_) => return Ok(shape),
            _ => {}
        }
        rest = rest.get(skip..).ok_or(NotAComponent::Cut)?;
    }
}

impl Diagnostic for NotAComponent {
    fn exit(&self) -> Exit {
        Exit::Usage
    }

    fn blame(&self) -> Blame {
        Blame::Task
    }

    fn hint(&self) -> Option<String> {
        let cure = match self {
            Self::NotWasm => "a task is a WebAssembly component: build it with `cofferdam build`",
            Self::CoreModule => {
                "a task is a component: build it with `cofferdam build`, or for the target \
                 `wasm32-wasip2`"
            }
            Self::Malformed(_) | Self::Cut => "build the component again",
        };
        Some(cure.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use wasm_encoder::{
        Component, ComponentExportKind, ComponentExportSection, ComponentImportSection,
        ComponentTypeRef, ComponentTypeSection, InstanceType, ModuleSection, PrimitiveValType,
        TypeBounds,
    };

    use super::*;

    fn component() -> Vec<u8> {
        let mut component = Component::new();
        let mut types = ComponentTypeSection::new();
        types.instance(&InstanceType::new());
        types.defined_type().primitive(PrimitiveValType::String);
        component.section(&types);
        let mut imports = ComponentImportSection::new();
        for name in ["cofferdam:task/log@0.1.0", "wasi:cli/exit@0.2.6"] {
            imports.import(name, ComponentTypeRef::Instance(0));
        }
        imports.import("failed", ComponentTypeRef::Type(TypeBounds::Eq(1)));
        component.section(&imports);
        component.section(&ModuleSection(&wasm_encoder::Module::new()));
        let mut exports = ComponentExportSection::new();
        exports.export("run", ComponentExportKind::Instance, 0, None);
        component.section(&exports);
        component.finish()
    }

    #[test]
    fn reads_names_around_a_nested_module_and_leaves_used_types_out() {
        let shape = shape(&component()).unwrap();
        assert_eq!(
            shape.imports,
            ["cofferdam:task/log@0.1.0", "wasi:cli/exit@0.2.6"]
        );
        assert_eq!(shape.exports, ["run"]);
    }

    #[test]
    fn says_what_is_no_component() {
        assert!(matches!(shape(b""), Err(NotAComponent::NotWasm)));
        assert!(matches!(shape(b"(component)"), Err(NotAComponent::NotWasm)));
        let module = wasm_encoder::Module::new().finish();
        assert!(matches!(shape(&module), Err(NotAComponent::CoreModule)));
        assert!(shape(b"\0asm").is_err());
        assert!(shape(b"\0asm\x0d\0\x01\0\xff").is_err());
    }

    #[test]
    fn a_component_that_is_cut_is_refused_or_short() {
        let whole = component();
        for cut in 0..whole.len() {
            if let Ok(part) = shape(&whole[..cut]) {
                assert!(part.exports.is_empty(), "cut at {cut}");
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = shape(&bytes);
            let _ = shape(&[b"\0asm\x0d\0\x01\0".as_slice(), &bytes].concat());
        }

        #[test]
        fn no_changed_byte_panics(at in 0..component().len(), to: u8) {
            let mut bytes = component();
            bytes[at] = to;
            let _ = shape(&bytes);
        }
    }
}
