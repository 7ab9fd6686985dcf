//! The promise that every command is answered once, whatever becomes of its executor.

use actix::prelude::Recipient;

use crate::clock::Clock;
use crate::messages::{CommandError, CommandFinished, CommandId, ExecutorCommand, tell};
use crate::supervisor::{Due, Vitals};
use crate::workload::{ExecutorKind, WorkloadName};

/// Held by an executor while it works on a command. [`CommandTicket::finish`] answers it; a ticket
/// that is dropped unanswered (a panic, a restart) answers [`CommandError::Abandoned`].
pub(crate) struct CommandTicket {
    executor: ExecutorKind,
    id: CommandId,
    workload: WorkloadName,
    scheduler: Recipient<CommandFinished>,
    clock: Clock,
    answered: bool,
    _due: Due,
}

impl CommandTicket {
    /// Takes responsibility for `command`. The deadline is announced to the executor's supervisor.
    #[must_use]
    pub(crate) fn new(
        executor: ExecutorKind,
        command: &ExecutorCommand,
        scheduler: Recipient<CommandFinished>,
        clock: Clock,
        vitals: &Vitals,
    ) -> Self {
        Self {
            executor,
            id: command.id,
            workload: command.action.workload_name().clone(),
            scheduler,
            clock,
            answered: false,
            _due: vitals.due_by(command.deadline),
        }
    }

    /// Answers the command.
    pub(crate) fn finish(mut self, result: Result<(), CommandError>) {
        self.answer(result);
    }

    fn answer(&mut self, result: Result<(), CommandError>) {
        self.answered = true;
        let finished = CommandFinished {
            executor: self.executor,
            id: self.id,
            workload: self.workload.clone(),
            finished_at: self.clock.now(),
            result,
        };
        tell(&self.scheduler, finished);
    }
}

impl Drop for CommandTicket {
    fn drop(&mut self) {
        if !self.answered {
            self.answer(Err(CommandError::Abandoned));
        }
    }
}
