//! What DAGs ask for, against the grants.

mod function;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::facts::{AskFact, Facts, Fields, FileFacts, How, Kind, Literal};
use super::finding::{Code, Finding, Severity};
use super::limits;
use super::report::{Asked, DagReport};
use super::schema::{self, Mismatch};
use super::tasks::{Task, Tasks};
use crate::config::value::bounded;
use crate::identity::Assurance;
use crate::name::TaskName;

/// Most places that one note names.
const MAX_PLACES: usize = 5;

/// Judges files one after the other.
#[derive(Debug)]
pub(super) struct Judge<'a> {
    tasks: &'a Tasks,
    /// The tasks that matter; all when it is empty.
    only: BTreeSet<String>,
    pub(super) dags: Vec<DagReport>,
    findings: BTreeSet<Finding>,
    /// Who asks for what, as far as it is known.
    asked: BTreeMap<String, BTreeSet<String>>,
    /// The tasks that are asked for by nobody knows which DAG.
    by_unknown: BTreeSet<String>,
    /// Somebody asks for nobody knows what, or a file is not read.
    is_incomplete: bool,
    /// There is a DAG whose dag_id is not known.
    has_nameless: bool,
    dag_ids: BTreeSet<String>,
}

/// Where a task is asked for.
#[derive(Debug, Clone, Copy)]
struct Place<'a> {
    file: &'a Path,
    line: usize,
    /// The dag_id, or what stands there instead.
    dag: Result<&'a str, &'a str>,
}

impl<'a> Judge<'a> {
    pub(super) fn new(tasks: &'a Tasks, only: &[TaskName]) -> Self {
        Self {
            tasks,
            only: only.iter().map(ToString::to_string).collect(),
            dags: Vec::new(),
            findings: BTreeSet::new(),
            asked: BTreeMap::new(),
            by_unknown: BTreeSet::new(),
            is_incomplete: false,
            has_nameless: false,
            dag_ids: BTreeSet::new(),
        }
    }

    /// A file that was not read.
    pub(super) fn unread(&mut self, finding: Finding) {
        self.is_incomplete = true;
        self.findings.insert(finding);
    }

    /// What a file says.
    pub(super) fn file(&mut self, file: &Path, facts: &FileFacts) {
        let facts = match facts {
            FileFacts::Read(facts) => facts,
            FileFacts::Unread(trouble) => {
                let problem = format!("the file {}", trouble.message);
                let finding = Finding::new(
                    Severity::Error,
                    Code::FileUnread,
                    file,
                    trouble.line,
                    problem,
                );
                self.unread(finding.hint("correct it, or name it in `.airflowignore`"));
                return;
            }
        };
        for dag in &facts.dags {
            let id = match dag.id.text() {
                Ok(id) => {
                    self.dag_ids.insert(id.to_owned());
                    Some(id.to_owned())
                }
                Err(what) => {
                    self.has_nameless = true;
                    let what = format!("the dag_id is not known from the source: {what}");
                    self.add(Finding::new(
                        Severity::Note,
                        Code::NotKnown,
                        file,
                        Some(dag.line),
                        what,
                    ));
                    None
                }
            };
            self.dags.push(DagReport::new(id, file, Some(dag.line)));
        }
        for ask in &facts.asks {
            self.operator(file, facts, ask);
        }
        for function in &facts.functions {
            self.function(file, facts, function);
        }
    }

    /// What is left over in the grants, and all that was found, by file and line.
    pub(super) fn finish(mut self) -> (Vec<DagReport>, Vec<Finding>) {
        let tasks = self.tasks;
        for (name, task) in &tasks.0 {
            if self.is_wanted(name) {
                self.leftovers(name, task);
            }
        }
        let missing: Vec<_> = self.only.iter().cloned().collect();
        for name in missing {
            if !tasks.0.contains_key(&name) && !self.asked.contains_key(&name) {
                let problem = format!("there is no grants file for the task `{name}`");
                let file = format!("{name}.toml");
                self.add(
                    Finding::new(
                        Severity::Error,
                        Code::TaskUnknown,
                        Path::new(&file),
                        None,
                        problem,
                    )
                    .of(Some(&name), None)
                    .hint(tasks.names()),
                );
            }
        }
        (self.dags, self.findings.into_iter().collect())
    }

    fn add(&mut self, finding: Finding) {
        self.findings.insert(finding);
    }

    fn is_wanted(&self, task: &str) -> bool {
        self.only.is_empty() || self.only.contains(task)
    }

    fn leftovers(&mut self, name: &str, task: &Task) {
        let Some(dags) = self.asked.get(name).cloned() else {
            if self.by_unknown.contains(name) {
                return;
            }
            let (severity, as_far) = self.certain(!self.is_incomplete);
            self.add(
                Finding::new(
                    severity,
                    Code::TaskUnused,
                    &task.file,
                    task.line_of(&["task"]),
                    format!("no DAG asks for the task `{name}`{as_far}"),
                )
                .of(Some(name), None)
                .hint("take the grants away: what is not granted cannot be misused"),
            );
            return;
        };
        let Ok(grants) = &task.grants else {
            return;
        };
        let is_known = !self.is_incomplete && !self.by_unknown.contains(name);
        for dag in &grants.caller.dags {
            if dags.contains(dag) {
                continue;
            }
            let (problem, is_certain) = match self.dag_ids.contains(dag) {
                true => (
                    format!("the DAG `{dag}` does not ask for the task `{name}`"),
                    is_known,
                ),
                false => (
                    format!("no DAG has the dag_id `{dag}`, which may run `{name}`"),
                    is_known && !self.has_nameless,
                ),
            };
            let (severity, as_far) = self.certain(is_certain);
            self.add(
                Finding::new(
                    severity,
                    Code::DagUnused,
                    &task.file,
                    task.line_of(&["caller", "dags"]),
                    format!("{problem}{as_far}"),
                )
                .of(Some(name), Some(dag))
                .hint("remove it from `dags` under [caller]"),
            );
        }
    }

    fn certain(&self, is_certain: bool) -> (Severity, &'static str) {
        match is_certain {
            true => (Severity::Warning, ""),
            false => (Severity::Note, ", as far as the source tells"),
        }
    }

    // What is asked for.

    fn operator(&mut self, file: &Path, facts: &Facts, ask: &AskFact) {
        let place = Place {
            file,
            line: ask.line,
            dag: dag_of(facts, ask.dag),
        };
        let Some((name, task)) = self.task(place, facts, ask.dag, ask.task.as_ref(), ask.open)
        else {
            return;
        };
        let mut unknown = Vec::new();
        if let Some(task) = task {
            if let Ok(schema) = &task.schema {
                let none = [empty(ask.line)];
                let inputs = match ask.inputs.as_slice() {
                    [] if ask.open || ask.how == How::Subclass => &[],
                    [] => none.as_slice(),
                    inputs => inputs,
                };
                for input in inputs {
                    // No input is an empty one.
                    let is_none = input.is == Kind::Null;
                    let held = match is_none {
                        true => schema::input(schema, &empty(input.line)),
                        false => schema::input(schema, input),
                    };
                    self.mismatches(place, &name, held);
                }
            }
            for asked in &ask.limits {
                self.limits(place, &name, task, asked);
            }
        }
        for input in &ask.inputs {
            input.unknown("input", &mut unknown);
        }
        for asked in &ask.limits {
            asked.unknown("limits", &mut unknown);
        }
        self.unknown(place, &name, &unknown);
    }

    /// The task that is asked for, if it matters, with its grants, if there are any.
    /// Tells who may not.
    fn task(
        &mut self,
        place: Place<'_>,
        facts: &Facts,
        index: Option<usize>,
        named: Option<&Literal>,
        is_open: bool,
    ) -> Option<(String, Option<&'a Task>)> {
        let name = match named.map(Literal::text) {
            Some(Ok(name)) => name.to_owned(),
            None if !is_open => {
                let finding = self.found(
                    place,
                    Severity::Error,
                    Code::TaskMissing,
                    "no task is named",
                );
                self.add(finding.hint("name it: `task=\"…\"`; `cofferdam tasks` lists them"));
                return None;
            }
            unknown => {
                let what = match unknown {
                    Some(Err(what)) => what,
                    _ => "arguments or defaults that are unpacked",
                };
                self.is_incomplete = true;
                self.report(place, facts, index, None);
                let what = format!("which task is asked for is not known from the source: {what}");
                let finding = self.found(place, Severity::Note, Code::NotKnown, what);
                self.add(finding);
                return None;
            }
        };
        if !self.is_wanted(&name) {
            return None;
        }
        self.report(place, facts, index, Some(&name));
        let of = |finding: Finding| finding.of(Some(&name), place.dag.ok());
        match place.dag {
            Ok(dag) => {
                let dags = self.asked.entry(name.clone()).or_default();
                dags.insert(dag.to_owned());
            }
            Err(what) => {
                self.by_unknown.insert(name.clone());
                self.asked.entry(name.clone()).or_default();
                let what = format!(
                    "which DAG asks for `{}` is not known from the source: {what}",
                    bounded(&name)
                );
                let finding = self.found(place, Severity::Note, Code::NotKnown, what);
                self.add(of(finding));
            }
        }
        let error = |code, problem: String| {
            of(Finding::new(
                Severity::Error,
                code,
                place.file,
                Some(place.line),
                problem,
            ))
        };
        if let Err(invalid) = name.parse::<TaskName>() {
            self.add(error(Code::TaskUnknown, invalid.to_string()).hint(self.tasks.names()));
            return Some((name, None));
        }
        let Some(task) = self.tasks.0.get(&name) else {
            let problem = format!("there is no grants file for the task `{name}`");
            let hint = format!(
                "correct the name, or ask security for grants; {}",
                self.tasks.names()
            );
            self.add(error(Code::TaskUnknown, problem).hint(hint));
            return Some((name, None));
        };
        let grants = match &task.grants {
            Ok(grants) => grants,
            Err(why) => {
                let problem = format!("the grants of the task `{name}` cannot be used: {why}");
                let hint = format!("`cofferdam check {name}` says more");
                self.add(error(Code::GrantsUnusable, problem).hint(hint));
                return Some((name, None));
            }
        };
        if let Ok(dag) = place.dag
            && !grants.caller.dags.iter().any(|one| one == dag)
        {
            let problem = format!("the DAG `{dag}` may not run the task `{name}`");
            let hint = format!(
                "ask security to add \"{dag}\" to `dags` under [caller] of {}",
                task.file.display()
            );
            self.add(error(Code::DagNotGranted, problem).hint(hint));
        }
        if grants.caller.identity == Assurance::Attested {
            let problem = format!(
                "the grants of the task `{name}` demand an attested identity, and a DAG can only \
                 claim one"
            );
            let hint = format!(
                "security can accept the DAG's word: `identity = \"claimed\"` under [caller] of {}",
                task.file.display()
            );
            self.add(error(Code::IdentityClaimed, problem).hint(hint));
        }
        if let Err(why) = task.schema {
            let problem = format!("the input of the task `{name}` is not judged: {why}");
            let line = task.line_of(&["component"]);
            let note = Finding::new(Severity::Note, Code::NotKnown, &task.file, line, problem);
            self.add(note.of(Some(&name), None).hint(
                "`cofferdam build` embeds the schema; `cofferdam check` compares the digest",
            ));
        }
        Some((name, Some(task)))
    }

    /// Puts it on the list of its DAG.
    fn report(
        &mut self,
        place: Place<'_>,
        facts: &Facts,
        index: Option<usize>,
        task: Option<&str>,
    ) {
        let line = index
            .and_then(|index| facts.dags.get(index))
            .map(|dag| dag.line);
        let is_it = |dag: &DagReport| dag.is_at(place.file, line);
        let at = match self.dags.iter().rposition(is_it) {
            Some(at) => at,
            None => {
                self.dags.push(DagReport::new(None, place.file, None));
                self.dags.len() - 1
            }
        };
        if let Some(dag) = self.dags.get_mut(at) {
            dag.tasks.push(Asked {
                task: task.map(bounded),
                line: place.line,
            });
        }
    }

    fn found(
        &self,
        place: Place<'_>,
        severity: Severity,
        code: Code,
        problem: impl std::fmt::Display,
    ) -> Finding {
        Finding::new(severity, code, place.file, Some(place.line), problem).of(None, place.dag.ok())
    }

    fn mismatches(&mut self, place: Place<'_>, task: &str, found: Vec<Mismatch>) {
        for it in found {
            let problem = format!("task `{task}`: {}", it.problem);
            let mut finding =
                Finding::new(Severity::Error, it.code, place.file, Some(it.line), problem)
                    .of(Some(task), place.dag.ok());
            if let Some(hint) = it.hint {
                finding = finding.hint(hint);
            }
            self.add(finding);
        }
    }

    fn limits(&mut self, place: Place<'_>, name: &str, task: &Task, asked: &Literal) {
        if let Ok(grants) = &task.grants {
            self.mismatches(place, name, limits::judge(asked, &grants.limits));
        }
    }

    fn unknown(&mut self, place: Place<'_>, task: &str, places: &[(String, &str)]) {
        if places.is_empty() {
            return;
        }
        let shown = places.iter().take(MAX_PLACES);
        let mut shown: Vec<_> = shown
            .map(|(path, what)| format!("`{}` ({what})", bounded(path)))
            .collect();
        if let Some(more) = places
            .len()
            .checked_sub(MAX_PLACES)
            .filter(|more| *more > 0)
        {
            shown.push(format!("{more} more"));
        }
        let problem = format!("not known from the source: {}", shown.join(", "));
        let finding = self.found(place, Severity::Note, Code::NotKnown, problem);
        self.add(finding.of(Some(task), place.dag.ok()));
    }
}

/// The dag_id of what asks, or what stands there instead.
fn dag_of(facts: &Facts, index: Option<usize>) -> Result<&str, &str> {
    let dag = index.and_then(|index| facts.dags.get(index));
    dag.map_or(Err("no DAG is named around it"), |dag| dag.id.text())
}

fn empty(line: usize) -> Literal {
    Literal {
        line,
        is: Kind::Object(Fields {
            fields: BTreeMap::new(),
            open: false,
        }),
    }
}
