//! Asks a component what it takes and returns.
//!
//! The component runs here without any authority: every import traps, and its
//! memory and steps are bounded. What it answers is the author's claim.

use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::{InspectError, NeedKind};

/// Steps that `describe` may take, in wasmtime's fuel: about a second.
const FUEL: u64 = 1_000_000_000;

/// Bytes of linear memory that `describe` may use.
const MEMORY: usize = 256 * 1024 * 1024;

/// The package whose interfaces are capabilities.
const CAPABILITIES: &str = "cofferdam:capabilities/";

/// What a component is, by its own account and by its imports.
#[derive(Debug, Clone, PartialEq)]
pub struct Inspection {
    /// The names of all imports, such as `cofferdam:capabilities/http@0.1.0`.
    pub imports: Vec<String>,
    /// The kinds of grants that it can open.
    pub kinds: Vec<NeedKind>,
    /// Its schemas; none when it does not describe itself.
    pub description: Option<Description>,
}

/// The schemas of a task.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Description {
    /// JSON Schema of the input.
    pub input_schema: Value,
    /// JSON Schema of the result.
    pub output_schema: Value,
}

/// Loads a component and asks it.
pub fn inspect(component: &[u8]) -> Result<Inspection, InspectError> {
    if !wasmparser::Parser::is_component(component) {
        return Err(InspectError::NotAComponent);
    }
    let mut config = Config::new();
    config.consume_fuel(true);
    let engine = Engine::new(&config).map_err(unloadable)?;
    let component = Component::from_binary(&engine, component).map_err(unloadable)?;
    let component_type = component.component_type();
    match component_type.get_export(&engine, "run") {
        Some(export) if matches!(export.ty, ComponentItem::ComponentFunc(_)) => {}
        _ => return Err(InspectError::NotATask),
    }
    let imports: Vec<String> = component_type
        .imports(&engine)
        .map(|(name, _)| name.to_owned())
        .collect();
    let kinds = kinds(&imports)?;
    let describes = component_type.get_export(&engine, "describe").is_some();
    let description = match describes {
        true => Some(describe(&engine, &component)?),
        false => None,
    };
    Ok(Inspection {
        imports,
        kinds,
        description,
    })
}

fn kinds(imports: &[String]) -> Result<Vec<NeedKind>, InspectError> {
    let mut kinds = Vec::new();
    for import in imports {
        let Some(interface) = import.strip_prefix(CAPABILITIES) else {
            continue;
        };
        let name = interface.split('@').next().unwrap_or_default();
        // The interface that holds the shared words; it can do nothing.
        if name == "types" {
            continue;
        }
        let kind = NeedKind::from_str(name);
        kinds.push(kind.map_err(|_| InspectError::UnknownCapability(import.clone()))?);
    }
    kinds.sort_unstable();
    Ok(kinds)
}

fn describe(engine: &Engine, component: &Component) -> Result<Description, InspectError> {
    let answer = call_describe(engine, component)
        .map_err(|error| InspectError::Failed(error.into_boxed_dyn_error()))?;
    serde_json::from_str(&answer).map_err(InspectError::Answer)
}

fn call_describe(engine: &Engine, component: &Component) -> wasmtime::Result<String> {
    let mut linker = Linker::new(engine);
    linker.define_unknown_imports_as_traps(component)?;
    let limits = StoreLimitsBuilder::new().memory_size(MEMORY).build();
    let mut store = Store::new(engine, limits);
    store.limiter(|limits: &mut StoreLimits| limits);
    store.set_fuel(FUEL)?;
    let instance = linker.instantiate(&mut store, component)?;
    let describe = instance.get_typed_func::<(), (String,)>(&mut store, "describe")?;
    let (answer,) = describe.call(&mut store, ())?;
    Ok(answer)
}

fn unloadable(error: wasmtime::Error) -> InspectError {
    InspectError::Unloadable(error.into_boxed_dyn_error())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component with these imports (empty instances) whose exports are
    /// made of one core module.
    fn component(imports: &[&str], describe: &str) -> Vec<u8> {
        let imports: String = imports
            .iter()
            .map(|name| format!("(import \"{name}\" (instance))"))
            .collect();
        // `answer` stands at address 8; the pair (8, its length) at address 0.
        let answer = r#"{\"input_schema\":{},\"output_schema\":true}"#;
        let text = format!(
            r#"(component {imports}
                (core module $m
                    (memory (export "memory") 1)
                    (data (i32.const 0) "\08\00\00\00\28\00\00\00{answer}")
                    (func (export "run"))
                    (func (export "describe") (result i32) {describe} i32.const 0))
                (core instance $i (instantiate $m))
                (func (export "run") (canon lift (core func $i "run")))
                (func (export "describe") (result string)
                    (canon lift (core func $i "describe") (memory (core memory $i "memory")))))"#
        );
        wat::parse_str(text).unwrap()
    }

    fn error(component: &[u8]) -> String {
        inspect(component).unwrap_err().to_string()
    }

    #[test]
    fn asks_for_the_schemas_and_reads_the_imports() {
        let imports = [
            "wasi:cli/exit@0.2.6",
            "cofferdam:capabilities/types@0.1.0",
            "cofferdam:capabilities/keys@0.1.0",
            "cofferdam:capabilities/http@0.1.0",
        ];
        let inspection = inspect(&component(&imports, "")).unwrap();
        assert_eq!(inspection.imports, imports);
        assert_eq!(inspection.kinds, [NeedKind::Http, NeedKind::Keys]);
        let description = inspection.description.unwrap();
        assert_eq!(description.output_schema, Value::Bool(true));
    }

    #[test]
    fn a_hostile_describe_is_stopped() {
        for body in ["unreachable", "(loop br 0)"] {
            let error = error(&component(&[], body));
            assert_eq!(
                error, "the component's `describe` did not end well",
                "{body}"
            );
        }
        // 32 MiB is within the bound, 1.9 GiB is not.
        let touch = |pages: u32| {
            let body = format!(
                "(drop (memory.grow (i32.const {pages}))) (i32.store (i32.const 0x1000000) (i32.const 1))"
            );
            inspect(&component(&[], &body))
        };
        assert!(touch(512).is_ok());
        assert!(touch(30_000).is_err());
    }

    #[test]
    fn what_is_no_task_is_refused() {
        assert_eq!(
            error(&wat::parse_str("(component)").unwrap()),
            "the component does not export the function `run` of `cofferdam:task`"
        );
        let not_a_component = "not a WebAssembly component";
        assert_eq!(error(&wat::parse_str("(module)").unwrap()), not_a_component);
        assert_eq!(
            error(
                b"#!/bin/sh
"
            ),
            not_a_component
        );
        let component = component(&[], "");
        let cut = component.get(..component.len() - 3).unwrap();
        assert_eq!(error(cut), "the component cannot be loaded");
        assert_eq!(
            error(&self::component(&["cofferdam:capabilities/ssh@0.1.0"], "")),
            "the component imports `cofferdam:capabilities/ssh@0.1.0`, which this version of Cofferdam does not offer"
        );
    }
}
