//! The Rust side of `wit/`, generated.

#![allow(
    missing_docs,
    unreachable_pub,
    unsafe_code,
    unused_qualifications,
    clippy::allow_attributes_without_reason,
    reason = "generated code; wit/ holds the documentation"
)]

wit_bindgen::generate!({
    path: ["../../wit/capabilities", "../../wit/task"],
    world: "cofferdam:task/described-task",
    generate_all,
    pub_export_macro: true,
    runtime_path: "::cofferdam_guest::__private::wit_bindgen_rt",
    default_bindings_module: "::cofferdam_guest::__private::bindings",
});
