//! The status page.

use std::fmt::Write as _;

use axum::extract::{RawQuery, State};
use axum::response::Html;

use super::ask::{Caller, Query};
use super::health::readiness;
use crate::server::refused::Refused;
use crate::server::service::Service;

/// Show how the service does, on one page for people.
#[utoipa::path(
    get,
    path = "/",
    operation_id = "status_page",
    tag = "health",
    responses(
        (status = 200, description = "The page", body = String, content_type = "text/html"),
    ),
)]
pub(super) async fn show(
    State(service): State<Service>,
    Caller(peer): Caller,
    query: RawQuery,
) -> Result<Html<String>, Refused> {
    Query::parse(query, &[])?;
    let (load, kept) = service.load();
    let readiness = readiness(&service);
    let word = match readiness.ready {
        true => "ready",
        false => "not ready",
    };
    let mut body = String::new();
    row(
        &mut body,
        "Service",
        &format!("{} {word}", env!("CARGO_PKG_VERSION")),
    );
    row(&mut body, "Since", &format!("{:.0}", service.begun()));
    for check in &readiness.checks {
        row(
            &mut body,
            &check.name,
            check.problem.as_deref().unwrap_or("ok"),
        );
    }
    for node in service.watched().vault_health().nodes {
        row(&mut body, &node.address, &node.health);
    }
    row(&mut body, "Runs under way", &load.running.to_string());
    row(&mut body, "Runs waiting", &load.waiting.to_string());
    row(&mut body, "Results kept", &kept.to_string());
    let mut tasks = String::new();
    for task in service.tasks(&peer) {
        let needs: Vec<String> = (task.needs.iter())
            .map(|(name, kind)| format!("{kind}.{name}"))
            .collect();
        let state = task.unusable.unwrap_or_else(|| needs.join(", "));
        row(&mut tasks, &task.name, &state);
    }
    let mut runs = String::new();
    match service.list(&peer).await {
        Ok(list) => {
            for run in list.into_iter().take(20) {
                let what = format!("{} {} {:.0}", run.task, run.state, run.submitted);
                row(&mut runs, &run.run.to_string(), &what);
            }
        }
        // The rest of the page tells why.
        Err(_) => row(&mut runs, "They cannot be read now", ""),
    }
    Ok(Html(format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta http-equiv=\"refresh\" content=\"5\"><title>cofferdam: {word}</title>\
         <style>body{{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
         padding:0 1rem}}table{{border-collapse:collapse;width:100%}}th,td{{text-align:left;\
         padding:.2rem .8rem .2rem 0;border-bottom:1px solid #ddd;font-weight:normal;\
         vertical-align:top}}th{{width:22rem;color:#555}}</style>\
         <h1>cofferdam</h1><table>{body}</table><h2>Your tasks</h2><table>{tasks}</table>\
         <h2>Your newest runs</h2><table>{runs}</table></html>"
    )))
}

fn row(table: &mut String, name: &str, value: &str) {
    // Writing into a String cannot fail.
    let _ = write!(
        table,
        "<tr><th>{}</th><td>{}</td></tr>",
        escaped(name),
        escaped(value)
    );
}

/// Text that is no markup.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
