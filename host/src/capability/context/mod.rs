//! The `context` interface: who the attempt is and how long it has.

use std::time::Instant;

use crate::capability::View;
use crate::capability::bindings::cofferdam::task::context;

impl context::Host for View<'_> {
    async fn current(&mut self) -> wasmtime::Result<context::Attempt> {
        let identity = &self.attempt.parts().identity;
        Ok(context::Attempt {
            dag_id: identity.dag_id().to_owned(),
            task_id: identity.task_id().to_owned(),
            run_id: identity.run_id().to_owned(),
            try_number: identity.try_number(),
            map_index: identity.map_index(),
            logical_date: identity.logical_date().map(str::to_owned),
        })
    }

    async fn remaining_ms(&mut self) -> wasmtime::Result<u64> {
        let left = self
            .attempt
            .parts()
            .deadline
            .saturating_duration_since(Instant::now());
        Ok(u64::try_from(left.as_millis()).unwrap_or(u64::MAX))
    }
}
