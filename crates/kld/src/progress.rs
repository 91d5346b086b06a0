//! The observer at the terminal: progress and warnings on stderr, Ctrl-C.

#![expect(
    clippy::print_stderr,
    reason = "this is where the program talks beside its data"
)]

use std::{
    io::IsTerminal,
    sync::{
        Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use kld_core::{Observer, observer::Progress};

/// Between two lines of progress where stderr is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(15);

/// Has the user asked to stop?
static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Tells of progress on stderr: a bar on a terminal, a line now and then elsewhere.
#[derive(Debug)]
pub(crate) struct Terminal {
    bar: OnceLock<ProgressBar>,
    last_line: Mutex<Instant>,
}

impl Terminal {
    /// From now on the first Ctrl-C asks for a stop after the step under way, the second one ends the program at once.
    pub(crate) fn listening() -> anyhow::Result<Self> {
        Self::answering("\nstopping after the step under way; again to stop at once")
    }

    /// The same with another answer to the first Ctrl-C.
    pub(crate) fn answering(answer: &'static str) -> anyhow::Result<Self> {
        ctrlc::set_handler(move || {
            if INTERRUPTED.swap(true, Ordering::SeqCst) {
                crate::output::remove_drafts();
                std::process::exit(130);
            }
            eprintln!("{answer}");
        })?;
        Ok(Self {
            bar: OnceLock::new(),
            last_line: Mutex::new(Instant::now()),
        })
    }

    /// Was a stop asked for?
    pub(crate) fn was_interrupted() -> bool {
        INTERRUPTED.load(Ordering::SeqCst)
    }

    /// Takes the bar away, so that what is printed next stands alone.
    pub(crate) fn finish(&self) {
        if let Some(bar) = self.bar.get() {
            bar.finish_and_clear();
        }
    }

    /// Says each warning once; for when results go to stdout as data, where nobody reads them.
    pub(crate) fn warn_all(&self, mut warnings: Vec<String>) {
        warnings.dedup();
        for warning in &warnings {
            self.warning(warning);
        }
    }

    /// Says what can be done next.
    pub(crate) fn hint(text: &str) {
        eprintln!("hint: {text}");
    }

    fn draw(&self, progress: &Progress) {
        let bar = self.bar.get_or_init(|| ProgressBar::new(0));
        let goes_on = bar.prefix() == progress.stage && bar.position() <= progress.done as u64;
        if bar.is_finished() || !goes_on {
            bar.reset();
            let template = if progress.total == 0 {
                "{spinner} {pos} {prefix}  {msg}  {elapsed} elapsed"
            } else {
                "{bar:24} {pos}/{len} {prefix}  {msg}  {elapsed} elapsed, {eta} left"
            };
            let style = ProgressStyle::with_template(template);
            bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        }
        bar.set_length(progress.total as u64);
        bar.set_prefix(progress.stage);
        bar.set_message(progress.estimate.clone());
        bar.set_position(progress.done as u64);
    }

    fn line(&self, progress: &Progress) {
        let mut last = self
            .last_line
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if last.elapsed() >= LINE_EVERY {
            *last = Instant::now();
            let of = match progress.total {
                0 => String::new(),
                total => format!(" of {total}"),
            };
            let line = format!(
                "{}{of} {}  {}",
                progress.done, progress.stage, progress.estimate
            );
            eprintln!("{}", line.trim_end());
        }
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Observer for Terminal {
    fn progress(&self, progress: &Progress) {
        if std::io::stderr().is_terminal() {
            self.draw(progress);
        } else {
            self.line(progress);
        }
    }

    fn warning(&self, message: &str) {
        eprintln!("warning: {message}");
    }

    fn interrupted(&self) -> bool {
        Self::was_interrupted()
    }
}
