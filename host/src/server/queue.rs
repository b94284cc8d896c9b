//! Whose turn it is: a queue that is fair between callers and their tasks.
//!
//! Runs wait in lanes, one for each task of each caller. When a place gets free
//! the callers are asked in turn, and of the caller whose turn it is its tasks in
//! turn; so a caller with ten thousand runs and one with a single run wait for
//! each other equally long, and a task at its limit holds up nobody else.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use tokio::sync::oneshot;

use crate::caller::Owner;
use crate::lock::{Mutex, MutexGuard};
use crate::name::TaskName;

/// How many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Places {
    /// Under way, in all.
    pub(super) runs: u32,
    /// Under way, of one caller.
    pub(super) per_caller: u32,
    /// Under way, of one task.
    pub(super) per_task: u32,
    /// Waiting, in all.
    pub(super) queue: u32,
    /// Waiting, of one caller.
    pub(super) queue_per_caller: u32,
}

/// There is no room to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The caller's own share.
    Caller,
    /// The whole queue.
    Queue,
}

/// The queue. Clones share it.
#[derive(Clone)]
pub(super) struct Queue(Arc<Mutex<State>>);

struct State {
    places: Places,
    running: u32,
    waiting: u32,
    callers: HashMap<Owner, Caller>,
    /// Callers with waiting runs, the next one first.
    order: VecDeque<Owner>,
    /// Runs under way by task.
    tasks: HashMap<TaskName, u32>,
}

#[derive(Default)]
struct Caller {
    running: u32,
    waiting: u32,
    lanes: HashMap<TaskName, VecDeque<oneshot::Sender<Turn>>>,
    /// Tasks with waiting runs, the next one first.
    order: VecDeque<TaskName>,
}

/// A place in the queue. Dropped, it is given up.
pub(super) enum Ticket {
    /// There was room at once.
    Now(Turn),
    /// It waits in its lane.
    Wait(oneshot::Receiver<Turn>),
}

/// The right to be under way. Dropped, it goes to the next.
pub(super) struct Turn {
    queue: Queue,
    owner: Owner,
    task: TaskName,
}

/// The queue in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Runs under way.
    pub(super) running: u32,
    /// Runs that wait.
    pub(super) waiting: u32,
}

impl Queue {
    pub(super) fn new(places: Places) -> Self {
        Self(Arc::new(Mutex::new(State {
            places,
            running: 0,
            waiting: 0,
            callers: HashMap::new(),
            order: VecDeque::new(),
            tasks: HashMap::new(),
        })))
    }

    /// Takes a place; the turn may have come already.
    ///
    /// # Errors
    /// When there is no room to wait.
    pub(super) fn enter(&self, owner: &Owner, task: &TaskName) -> Result<Ticket, Full> {
        let mut state = self.0.lock();
        if state.can_start(owner, task) {
            state.start(owner, task);
            return Ok(Ticket::Now(self.turn(owner, task)));
        }
        let mut room = state.room_for(owner);
        if room.is_err() {
            state.tidy();
            room = state.room_for(owner);
        }
        room?;
        let (sender, receiver) = oneshot::channel();
        state.wait(owner, task, sender);
        Ok(Ticket::Wait(receiver))
    }

    /// Other numbers from now on; who is under way goes on.
    pub(super) fn set(&self, places: Places) {
        let mut state = self.0.lock();
        state.places = places;
        self.dispatch(state);
    }

    /// The queue in numbers. Goes through all who wait, for some may have left.
    pub(super) fn load(&self) -> Load {
        let mut state = self.0.lock();
        state.tidy();
        Load {
            running: state.running,
            waiting: state.waiting,
        }
    }

    fn turn(&self, owner: &Owner, task: &TaskName) -> Turn {
        Turn {
            queue: self.clone(),
            owner: owner.clone(),
            task: task.clone(),
        }
    }

    /// Gives turns as long as there are places.
    fn dispatch(&self, mut state: MutexGuard<'_, State>) {
        let mut given_up = Vec::new();
        while let Some((owner, task, sender)) = state.next() {
            // Whoever has left gives the turn back, once the lock is free.
            given_up.extend(sender.send(self.turn(&owner, &task)).err());
        }
        drop(state);
        drop(given_up);
    }

    fn leave(&self, owner: &Owner, task: &TaskName) {
        let mut state = self.0.lock();
        state.end(owner, task);
        self.dispatch(state);
    }
}

impl State {
    /// Whether a run that comes now need not wait. Whoever waits in another lane
    /// then is at a limit of his own.
    fn can_start(&self, owner: &Owner, task: &TaskName) -> bool {
        self.running < self.places.runs
            && self.task_has_room(task)
            && self.callers.get(owner).is_none_or(|caller| {
                caller.running < self.places.per_caller && !caller.lanes.contains_key(task)
            })
    }

    fn task_has_room(&self, task: &TaskName) -> bool {
        let running = self.tasks.get(task);
        running.is_none_or(|running| *running < self.places.per_task)
    }

    fn room_for(&self, owner: &Owner) -> Result<(), Full> {
        let own = self.callers.get(owner).map_or(0, |caller| caller.waiting);
        if own >= self.places.queue_per_caller {
            Err(Full::Caller)
        } else if self.waiting >= self.places.queue {
            Err(Full::Queue)
        } else {
            Ok(())
        }
    }

    fn start(&mut self, owner: &Owner, task: &TaskName) {
        self.running += 1;
        self.callers.entry(owner.clone()).or_default().running += 1;
        *self.tasks.entry(task.clone()).or_default() += 1;
    }

    fn end(&mut self, owner: &Owner, task: &TaskName) {
        self.running = self.running.saturating_sub(1);
        if let Some(caller) = self.callers.get_mut(owner) {
            caller.running = caller.running.saturating_sub(1);
            if caller.is_idle() {
                self.callers.remove(owner);
            }
        }
        if let Some(running) = self.tasks.get_mut(task) {
            *running = running.saturating_sub(1);
            if *running == 0 {
                self.tasks.remove(task);
            }
        }
    }

    fn wait(&mut self, owner: &Owner, task: &TaskName, sender: oneshot::Sender<Turn>) {
        let caller = self.callers.entry(owner.clone()).or_default();
        caller.push(task, sender);
        if caller.waiting == 1 {
            self.order.push_back(owner.clone());
        }
        self.waiting += 1;
    }

    /// The next one whose turn it is, counted as under way.
    fn next(&mut self) -> Option<(Owner, TaskName, oneshot::Sender<Turn>)> {
        if self.running >= self.places.runs {
            return None;
        }
        for _ in 0..self.order.len() {
            let owner = self.order.pop_front()?;
            let found = self.next_of(&owner);
            let caller = self.callers.get(&owner);
            if caller.is_some_and(|caller| caller.waiting > 0) {
                self.order.push_back(owner.clone());
            }
            if let Some((task, sender)) = found {
                self.start(&owner, &task);
                return Some((owner, task, sender));
            }
            if caller.is_some_and(Caller::is_idle) {
                self.callers.remove(&owner);
            }
        }
        None
    }

    /// Takes the next one of this caller that may be under way. Those who have
    /// left go on the way.
    fn next_of(&mut self, owner: &Owner) -> Option<(TaskName, oneshot::Sender<Turn>)> {
        loop {
            let caller = self.callers.get(owner)?;
            if caller.running >= self.places.per_caller {
                return None;
            }
            let at = (caller.order.iter()).position(|task| self.task_has_room(task))?;
            let (task, sender) = self.callers.get_mut(owner)?.pop(at)?;
            self.waiting -= 1;
            if !sender.is_closed() {
                return Some((task, sender));
            }
        }
    }

    /// Takes out those who have given up.
    fn tidy(&mut self) {
        for caller in self.callers.values_mut() {
            for lane in caller.lanes.values_mut() {
                lane.retain(|sender| !sender.is_closed());
            }
            caller.lanes.retain(|_, lane| !lane.is_empty());
            let Caller { lanes, order, .. } = caller;
            order.retain(|task| lanes.contains_key(task));
            let waiting: usize = lanes.values().map(VecDeque::len).sum();
            caller.waiting = u32::try_from(waiting).unwrap_or(u32::MAX);
        }
        self.callers.retain(|_, caller| !caller.is_idle());
        let Self { callers, order, .. } = self;
        order.retain(|owner| callers.get(owner).is_some_and(|caller| caller.waiting > 0));
        self.waiting = callers.values().map(|caller| caller.waiting).sum();
    }
}

impl Caller {
    fn push(&mut self, task: &TaskName, sender: oneshot::Sender<Turn>) {
        let lane = self.lanes.entry(task.clone()).or_default();
        if lane.is_empty() {
            self.order.push_back(task.clone());
        }
        lane.push_back(sender);
        self.waiting += 1;
    }

    /// The next one of the task at this place of the order.
    fn pop(&mut self, at: usize) -> Option<(TaskName, oneshot::Sender<Turn>)> {
        let task = self.order.remove(at)?;
        let lane = self.lanes.get_mut(&task)?;
        let sender = lane.pop_front()?;
        if lane.is_empty() {
            self.lanes.remove(&task);
        } else {
            self.order.push_back(task.clone());
        }
        self.waiting -= 1;
        Some((task, sender))
    }

    fn is_idle(&self) -> bool {
        self.running == 0 && self.waiting == 0
    }
}

impl Ticket {
    /// Waits for the turn; none only when the queue itself is gone.
    pub(super) async fn turn(self) -> Option<Turn> {
        match self {
            Self::Now(turn) => Some(turn),
            Self::Wait(receiver) => receiver.await.ok(),
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.queue.leave(&self.owner, &self.task);
    }
}

#[cfg(test)]
mod tests;
