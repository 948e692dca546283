//! Events as lines of a file.

use std::io::{self, Write};

use csv::{Terminator, Writer, WriterBuilder};
use domain::RecordedEvent;

use crate::body::EventBody;
use crate::format::{COLUMNS, cells, harmless, line};

/// Takes events in the order of their positions.
pub trait EventWriter: Send {
    fn event(&mut self, event: RecordedEvent) -> io::Result<()>;
    /// Everything is in the file, though not yet on disk.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

fn body(event: RecordedEvent) -> io::Result<EventBody> {
    EventBody::new(event).map_err(|problem| io::Error::other(problem.detail().to_owned()))
}

pub struct Lines<W>(pub W);

impl<W: Write + Send> EventWriter for Lines<W> {
    fn event(&mut self, event: RecordedEvent) -> io::Result<()> {
        let mut out = Vec::new();
        line(&body(event)?, &mut out)?;
        self.0.write_all(&out)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}

pub struct Table<W: Write>(Writer<W>);

impl<W: Write> Table<W> {
    pub fn new(out: W) -> io::Result<Self> {
        let mut writer = WriterBuilder::new().terminator(Terminator::CRLF).from_writer(out);
        writer.write_record(COLUMNS)?;
        Ok(Self(writer))
    }
}

impl<W: Write + Send> EventWriter for Table<W> {
    fn event(&mut self, event: RecordedEvent) -> io::Result<()> {
        Ok(self.0.write_record(cells(&body(event)?).map(harmless))?)
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.0.flush()
    }
}
