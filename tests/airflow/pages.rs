//! What Airflow's pages get from the provider: the connection's form and its test, and the
//! link to the audit.

use reqwest::Method;
use serde_json::{Value, json};

use super::Trials;
use super::site::{LONG, Site};

pub(super) fn trials(trials: &mut Trials) {
    trials.add("pages::a_connection_is_tested", a_connection_is_tested);
    trials.add("pages::a_connection_has_a_form", a_connection_has_a_form);
    trials.add(
        "pages::a_task_links_to_its_audit",
        a_task_links_to_its_audit,
    );
}

async fn a_connection_is_tested(site: &Site) {
    let path = |name: &str| site.world.path(name).to_string_lossy().into_owned();
    let binary = json!({ "binary": path("cofferdam"), "config": path("laptop/cofferdam.toml") });
    let remote = json!({
        "ca": path("laptop/servers.pem"),
        "client_certificate": path("laptop/worker.pem"),
        "client_key": path("laptop/worker.key"),
    });
    let stranger = json!({ "ca": path("laptop/servers.pem") });
    let https = format!("https://{}", site.remote.address);
    for (host, extra, is_well, words) in [
        (path("run/cofferdam.sock"), json!({}), true, "takes runs"),
        (https.clone(), remote, true, "takes runs"),
        (https, stranger, false, "nobody knows who you are"),
        (path("run/nobody.sock"), json!({}), false, "cannot connect"),
        (String::new(), binary, true, "cofferdam doctor"),
    ] {
        let body = json!({
            "connection_id": "tried", "conn_type": "cofferdam",
            "host": host, "extra": extra.to_string(),
        });
        let told = (site.airflow.api())
            .ask(Method::POST, "/api/v2/connections/test", Some(&body))
            .await
            .unwrap();
        assert_eq!(told["status"], is_well, "{told}");
        assert!(told["message"].as_str().unwrap().contains(words), "{told}");
    }
}

async fn a_connection_has_a_form(site: &Site) {
    let told = site.airflow.api().get("/ui/connections/hook_meta").await;
    let told = told.unwrap();
    let ours = (told.as_array().unwrap().iter()).find(|it| it["connection_type"] == "cofferdam");
    let ours = ours.unwrap_or_else(|| panic!("no form of ours: {told}"));
    for field in [
        "ca",
        "client_certificate",
        "client_key",
        "token_file",
        "binary",
        "config",
    ] {
        assert!(ours["extra_fields"][field].is_object(), "{field}: {ours}");
    }
}

async fn a_task_links_to_its_audit(site: &Site) {
    let (dag, api) = ("tests", site.airflow.api());
    let run = site.trigger(dag, "probe", json!({ "do": "context" })).await;
    assert_eq!(api.ended(dag, &run, LONG).await.unwrap(), "success");
    let path = format!(
        "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/step/links",
        run.replace('+', "%2B")
    );
    let links = api.get(&path).await.unwrap();
    let record = site.xcom(dag, &run, "cofferdam").await;
    let expected = format!("https://audit.example/{}", record["run"].as_str().unwrap());
    assert_eq!(
        links["extra_links"]["Cofferdam audit"],
        Value::String(expected),
        "{links}"
    );
}
