//! `OVER` and `WINDOW`.

use sqlparser::ast::{WindowFrame, WindowFrameBound, WindowFrameUnits, WindowSpec, WindowType};

use super::{Walk, Written};

impl Walk<'_> {
    pub(super) fn windowed(&mut self, over: &WindowType) -> Written {
        self.pen.word("OVER");
        match over {
            WindowType::WindowSpec(spec) => self.window(spec),
            WindowType::NamedWindow(name) => self.ident(name),
        }
    }

    pub(super) fn window(&mut self, spec: &WindowSpec) -> Written {
        let WindowSpec {
            window_name,
            partition_by,
            order_by,
            window_frame,
        } = spec;
        self.bracketed(|walk| {
            if let Some(name) = window_name {
                walk.ident(name)?;
            }
            if !partition_by.is_empty() {
                walk.pen.word("PARTITION BY");
                walk.list(partition_by, Self::expr)?;
            }
            if !order_by.is_empty() {
                walk.ordered(order_by)?;
            }
            match window_frame {
                Some(frame) => walk.frame(frame),
                None => Ok(()),
            }
        })
    }

    fn frame(&mut self, frame: &WindowFrame) -> Written {
        let WindowFrame {
            units,
            start_bound,
            end_bound,
        } = frame;
        self.pen.word(match units {
            WindowFrameUnits::Rows => "ROWS",
            WindowFrameUnits::Range => "RANGE",
            WindowFrameUnits::Groups => "GROUPS",
        });
        let Some(end) = end_bound else {
            return self.bound(start_bound);
        };
        self.pen.word("BETWEEN");
        self.bound(start_bound)?;
        self.pen.word("AND");
        self.bound(end)
    }

    fn bound(&mut self, bound: &WindowFrameBound) -> Written {
        let (expr, word) = match bound {
            WindowFrameBound::CurrentRow => {
                self.pen.word("CURRENT ROW");
                return Ok(());
            }
            WindowFrameBound::Preceding(expr) => (expr, "PRECEDING"),
            WindowFrameBound::Following(expr) => (expr, "FOLLOWING"),
        };
        match expr {
            Some(expr) => self.expr(expr)?,
            None => self.pen.word("UNBOUNDED"),
        }
        self.pen.word(word);
        Ok(())
    }
}
