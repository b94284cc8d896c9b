//! The Rust side of `wit/`, generated.

#![allow(
    missing_docs,
    unreachable_pub,
    reason = "generated code; wit/ holds the documentation"
)]

wasmtime::component::bindgen!({
    path: ["../wit/capabilities", "../wit/task"],
    world: "cofferdam:task/task",
    // Never `tracing`: it would log string arguments.
    imports: { default: async | trappable },
    exports: { default: async },
    with: {
        "cofferdam:capabilities/http.client": crate::capability::http::Client,
        "cofferdam:capabilities/http.response": crate::capability::http::ResponseHandle,
        "cofferdam:capabilities/keys.key": crate::capability::keys::KeyHandle,
        "cofferdam:capabilities/sql.connection": crate::capability::sql::ConnectionHandle,
        "cofferdam:capabilities/sql.cursor": crate::capability::sql::CursorHandle,
        "cofferdam:capabilities/sql.transaction": crate::capability::sql::TransactionHandle,
        "cofferdam:capabilities/sql.copy-writer": crate::capability::sql::CopyWriterHandle,
        "cofferdam:capabilities/sql.copy-reader": crate::capability::sql::CopyReaderHandle,
    },
});
