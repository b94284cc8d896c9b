//! Its REST API (version 2), as far as a test asks it something.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

/// How often a request is made whose transaction the database did not take.
const TRIES: u32 = 10;
/// How Airflow words that.
const LOCKED: &str = "Database error";

/// The API of one Airflow.
pub struct Api {
    client: reqwest::Client,
    address: String,
    token: String,
}

/// One task instance; its fields are Airflow's own.
#[derive(Debug, Clone)]
pub struct Instance(pub Value);

impl Instance {
    /// A field by its name in the API; null when there is none.
    pub fn field(&self, name: &str) -> &Value {
        field(&self.0, name)
    }

    /// Its state; none before the scheduler has looked at it.
    pub fn state(&self) -> &str {
        self.field("state").as_str().unwrap_or_default()
    }

    /// Which try it is.
    pub fn try_number(&self) -> u64 {
        self.field("try_number").as_u64().unwrap_or_default()
    }

    /// Its place among mapped ones; -1 for a task that is not mapped.
    pub fn map_index(&self) -> i64 {
        self.field("map_index").as_i64().unwrap_or(-1)
    }

    /// How long it ran, in seconds.
    pub fn duration(&self) -> Option<f64> {
        self.field("duration").as_f64()
    }
}

impl Api {
    pub(super) fn new(port: u16) -> Self {
        Self {
            client: reqwest::Client::new(),
            address: format!("http://127.0.0.1:{port}"),
            token: String::new(),
        }
    }

    pub(super) async fn health(&self) -> Result<Value> {
        self.get("/api/v2/monitor/health").await
    }

    pub(super) async fn log_in(&mut self, user: &str, password: &str) -> Result<()> {
        let body = json!({ "username": user, "password": password });
        let answer = self.ask(Method::POST, "/auth/token", Some(&body)).await?;
        let token = field(&answer, "access_token").as_str();
        self.token = token.context("Airflow gave no token")?.to_owned();
        Ok(())
    }

    /// GET of this path, which begins with `/`.
    pub async fn get(&self, path: &str) -> Result<Value> {
        self.ask(Method::GET, path, None).await
    }

    /// Any request; the answer's JSON. SQLite lets one writer in at a time, and
    /// Airflow answers 500 to whoever waited for too long: such a request is made again.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut tries = 1;
        loop {
            match self.ask_once(&method, path, body).await {
                Err(error) if tries < TRIES && error.to_string().contains(LOCKED) => tries += 1,
                answered => return answered,
            }
        }
    }

    async fn ask_once(&self, method: &Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let mut request = self
            .client
            .request(method.clone(), format!("{}{path}", self.address))
            .timeout(Duration::from_secs(30))
            .header("accept", "application/json");
        if !self.token.is_empty() {
            request = request.bearer_auth(&self.token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        ensure!(status.is_success(), "{method} {path}: {status}: {text}");
        serde_json::from_str(&text).with_context(|| format!("{method} {path}: no JSON: {text}"))
    }

    /// Waits until these DAGs are known, and fails when a file of theirs cannot
    /// be imported.
    pub async fn knows(&self, dags: &[&str], within: Duration) -> Result<()> {
        let begun = Instant::now();
        for dag in dags {
            loop {
                let errors = self.get("/api/v2/importErrors").await?;
                ensure!(field(&errors, "total_entries") == 0, "{errors:#}");
                if self.get(&format!("/api/v2/dags/{dag}")).await.is_ok() {
                    break;
                }
                ensure!(begun.elapsed() < within, "the DAG `{dag}` is not found");
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
        }
        Ok(())
    }

    /// Triggers a run of a DAG; its run_id.
    pub async fn trigger(&self, dag: &str, conf: Value) -> Result<String> {
        self.trigger_for(dag, conf, None).await
    }

    /// The same for a logical date, RFC 3339.
    pub async fn trigger_for(
        &self,
        dag: &str,
        conf: Value,
        logical_date: Option<&str>,
    ) -> Result<String> {
        let body = json!({ "logical_date": logical_date, "conf": conf });
        let path = format!("/api/v2/dags/{dag}/dagRuns");
        let run = self.ask(Method::POST, &path, Some(&body)).await?;
        let run = field(&run, "dag_run_id").as_str();
        Ok(run.context("the run has no id")?.to_owned())
    }

    /// Waits until a run is over; its state.
    pub async fn ended(&self, dag: &str, run: &str, within: Duration) -> Result<String> {
        let begun = Instant::now();
        loop {
            let path = format!("/api/v2/dags/{dag}/dagRuns/{}", encoded(run));
            let state = field(&self.get(&path).await?, "state").clone();
            if state == "success" || state == "failed" {
                return Ok(state.as_str().unwrap_or_default().to_owned());
            }
            ensure!(
                begun.elapsed() < within,
                "run {run} of {dag} is not over: {state}, {:#?}",
                self.instances(dag, run).await?
            );
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// The task instances of a run.
    pub async fn instances(&self, dag: &str, run: &str) -> Result<Vec<Instance>> {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances?limit=500",
            encoded(run)
        );
        let answer = self.get(&path).await?;
        let list = field(&answer, "task_instances").as_array();
        let list = list.context("the run has no task instances")?;
        Ok(list.iter().cloned().map(Instance).collect())
    }

    /// The only task instance of a run, or the one with this map_index.
    pub async fn instance(
        &self,
        dag: &str,
        run: &str,
        task: &str,
        map_index: i64,
    ) -> Result<Instance> {
        let found = self.instances(dag, run).await?.into_iter();
        found
            .filter(|it| it.field("task_id") == task)
            .find(|it| it.map_index() == map_index)
            .with_context(|| format!("run {run} of {dag} has no `{task}` [{map_index}]"))
    }

    /// Waits until a task instance is in one of these states.
    pub async fn reaches(
        &self,
        dag: &str,
        run: &str,
        task: &str,
        states: &[&str],
        within: Duration,
    ) -> Result<Instance> {
        let begun = Instant::now();
        loop {
            let instance = self.instance(dag, run, task, -1).await?;
            if states.contains(&instance.state()) {
                return Ok(instance);
            }
            ensure!(
                begun.elapsed() < within,
                "`{task}` of {dag} is `{}`, not one of {states:?}",
                instance.state()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// What a user does who marks a task as failed while it runs.
    pub async fn mark_failed(&self, dag: &str, run: &str, task: &str) -> Result<()> {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}",
            encoded(run)
        );
        let body = json!({ "new_state": "failed" });
        self.ask(Method::PATCH, &path, Some(&body)).await.map(drop)
    }

    /// The log of one try, as the page shows it: one document a line.
    pub async fn log(
        &self,
        dag: &str,
        run: &str,
        task: &str,
        map_index: i64,
        try_number: u64,
    ) -> Result<Vec<Value>> {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/logs/{try_number}?map_index={map_index}&full_content=true",
            encoded(run)
        );
        let answer = self.get(&path).await?;
        match field(&answer, "content") {
            Value::Array(lines) => Ok(lines.clone()),
            other => Ok(vec![other.clone()]),
        }
    }

    /// One XCom of a task instance; null when there is none.
    pub async fn xcom(
        &self,
        dag: &str,
        run: &str,
        task: &str,
        map_index: i64,
        key: &str,
    ) -> Result<Value> {
        let path = format!(
            "/api/v2/dags/{dag}/dagRuns/{}/taskInstances/{task}/xcomEntries/{key}?map_index={map_index}",
            encoded(run)
        );
        match self.get(&path).await {
            Ok(entry) => Ok(field(&entry, "value").clone()),
            Err(error) if error.to_string().contains("404") => Ok(Value::Null),
            Err(error) => Err(error),
        }
    }
}

/// A field of an answer; null when there is none.
pub(super) fn field<'a>(answer: &'a Value, name: &str) -> &'a Value {
    answer.get(name).unwrap_or(&Value::Null)
}

/// A run_id holds `:` and `+`.
fn encoded(run: &str) -> String {
    percent_encoding::utf8_percent_encode(run, percent_encoding::NON_ALPHANUMERIC).to_string()
}
