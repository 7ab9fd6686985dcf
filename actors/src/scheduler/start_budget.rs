//! How many pulls and starts the device bears at once, and who waits for a place. Pure.

use std::collections::{BTreeMap, VecDeque};

use crate::clock::Monotonic;
use crate::messages::CommandId;
use crate::workload::WorkloadName;

/// The budget. Those that wait are served in order of arrival.
#[derive(Debug)]
pub(super) struct StartBudget {
    limit: usize,
    /// Commands under way, and until when each counts though no answer comes.
    under_way: BTreeMap<CommandId, Monotonic>,
    waiting: VecDeque<WorkloadName>,
}

impl StartBudget {
    /// Returns a budget of `limit`, at least 1.
    pub(super) fn new(limit: usize) -> Self {
        Self { limit: limit.max(1), under_way: BTreeMap::new(), waiting: VecDeque::new() }
    }

    /// Returns whether `name` may start now; if not, it waits its turn.
    pub(super) fn admits(&mut self, name: &WorkloadName) -> bool {
        let has_room = self.under_way.len() < self.limit;
        if !has_room && !self.waiting.contains(name) {
            self.waiting.push_back(name.clone());
        }
        has_room
    }

    /// Notes that a command was sent.
    pub(super) fn spend(&mut self, command: CommandId, until: Monotonic) {
        self.under_way.insert(command, until);
    }

    /// Notes that a command was answered.
    pub(super) fn release(&mut self, command: CommandId) {
        self.under_way.remove(&command);
    }

    /// Returns the jobs whose turn it is: as many as there is room for.
    pub(super) fn called(&mut self, now: Monotonic) -> Vec<WorkloadName> {
        self.under_way.retain(|_, until| *until > now);
        let room = self.limit.saturating_sub(self.under_way.len());
        self.waiting.drain(..room.min(self.waiting.len())).collect()
    }

    /// Returns when a place falls free though no answer comes; matters only while some wait.
    pub(super) fn next_alarm(&self) -> Option<Monotonic> {
        if self.waiting.is_empty() { None } else { self.under_way.values().min().copied() }
    }

    /// Forgets who waits.
    pub(super) fn clear_waiting(&mut self) {
        self.waiting.clear();
    }
}
