//! Finds or installs what we do not build ourselves.

mod airflow;
mod bao;
mod cache;
mod cargo;
mod moto;
mod postgres;
mod python;
mod schemathesis;
mod uv;
mod wasm;

pub use airflow::{OLDER_AIRFLOWS, airflow, airflow_at_hand, airflow_of, install_provider};
pub use bao::{BAO_VARIABLE, bao, bao_at_hand};
pub(crate) use cache::lock;
pub use cache::{target_folder, workspace};
pub use cargo::forget_outer_cargo;
pub use moto::{moto, moto_at_hand};
pub use postgres::{postgres, postgres_probe};
pub use schemathesis::{schemathesis, schemathesis_at_hand};
pub use uv::uv;
pub use wasm::{GuestEnv, wasm_probe, wasm_target};
