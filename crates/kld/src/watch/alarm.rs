//! Rules from the command line, and what is run when one holds.

use std::{collections::BTreeSet, process::Command};

use anyhow::ensure;
use clap::Args;
use kld_core::{Observer, result::Watch, series::Rule};

use crate::progress::Terminal;

/// What somebody wants to be told of.
#[derive(Debug, Args)]
#[command(next_help_heading = "Rules")]
pub(crate) struct AlarmArgs {
    /// Tell when this holds, such as `kl_heldout > 1.1 * min(kl_heldout)` or `gap > 0.05`; asked at every step of the whole run, so that it
    /// can be replayed. May be given several times
    #[arg(long, value_name = "RULE")]
    pub(super) alert: Vec<Rule>,

    /// Run this by the shell when a rule first holds, with `KLD_ALERT` (the rule), `KLD_ALERT_STEP` and `KLD_ALERT_RUN` in its environment
    #[arg(long, value_name = "COMMAND", requires = "alert")]
    on_alert: Option<String>,
}

/// Tells of each rule once.
pub(super) struct Alarms<'a> {
    command: Option<&'a str>,
    told: BTreeSet<usize>,
}

impl<'a> Alarms<'a> {
    pub(super) fn new(args: &'a AlarmArgs) -> anyhow::Result<Self> {
        let command = args.on_alert.as_deref();
        ensure!(
            command.is_none_or(|command| !command.trim().is_empty()),
            "--on-alert is empty: name a command"
        );
        Ok(Self {
            command,
            told: BTreeSet::new(),
        })
    }

    /// Runs the command for every rule that has held since it was last asked. A command that fails is told of; the watching goes on.
    pub(super) fn tell(&mut self, watch: &Watch, observer: &Terminal) {
        for (index, alert) in watch.alerts.iter().enumerate() {
            let Some(step) = alert.first_step else {
                continue;
            };
            let Some(command) = self.command.filter(|_| self.told.insert(index)) else {
                continue;
            };
            let (shell, flag) = if cfg!(windows) {
                ("cmd", "/C")
            } else {
                ("sh", "-c")
            };
            let status = Command::new(shell)
                .args([flag, command])
                .env("KLD_ALERT", &alert.rule)
                .env("KLD_ALERT_STEP", step.to_string())
                .env("KLD_ALERT_RUN", &watch.source)
                .status();
            match status {
                Ok(status) if status.success() => {}
                Ok(status) => observer.warning(&format!("--on-alert {command:?}: {status}")),
                Err(error) => observer.warning(&format!("--on-alert cannot run: {error}")),
            }
        }
    }
}
