//! Who this attempt is, how long it has, and whether it should stop.

use std::time::Duration;

use crate::bindings::cofferdam::task::{context, control};

/// The running attempt; every task is handed one.
#[derive(Debug)]
pub struct Context {
    _private: (),
}

/// The attempt in Airflow's terms.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The DAG.
    pub dag_id: String,
    /// The task within the DAG.
    pub task_id: String,
    /// The run of the DAG.
    pub run_id: String,
    /// 1 for the first try.
    pub try_number: u32,
    /// The index of a mapped task; none for a task that is not mapped.
    pub map_index: Option<u32>,
    /// RFC 3339; none for a run without one.
    pub logical_date: Option<String>,
}

impl Context {
    pub(crate) fn new() -> Self {
        Self { _private: () }
    }

    /// Who this attempt is.
    pub fn identity(&self) -> Identity {
        let attempt = context::current();
        Identity {
            dag_id: attempt.dag_id,
            task_id: attempt.task_id,
            run_id: attempt.run_id,
            try_number: attempt.try_number,
            // The contract says -1 for "not mapped".
            map_index: u32::try_from(attempt.map_index).ok(),
            logical_date: attempt.logical_date,
        }
    }

    /// Time until the attempt's deadline; zero when it has passed.
    pub fn remaining(&self) -> Duration {
        Duration::from_millis(context::remaining_ms())
    }

    /// True once somebody asked the attempt to stop. The task then has the
    /// grants file's grace period to end by itself.
    pub fn cancelled(&self) -> bool {
        control::cancelled()
    }

    /// Says that the task makes progress, where the grants file sets a
    /// heartbeat limit.
    pub fn heartbeat(&self) {
        control::heartbeat();
    }
}
