//! A text with a limit, to which only whole elements are added: what has no room any more is counted.

/// A text with a limit.
pub(super) struct Page {
    text: String,
    limit: usize,
}

/// Elements under a heading.
pub(super) struct List<'a> {
    /// What stands before them.
    pub head: &'a str,
    /// What stands behind them.
    pub foot: &'a str,
    /// How many there are.
    pub count: usize,
    /// The most that they may take of what is left.
    pub share: usize,
    /// One of them in at most so many bytes; `None` where that is not enough.
    pub each: &'a dyn Fn(usize, usize) -> Option<String>,
    /// What is said of so many that had no room.
    pub more: &'a dyn Fn(usize) -> String,
}

impl Page {
    /// An empty one. The limit is counted in bytes: forges count characters, each in its own way, and there are never more of
    /// those than bytes.
    pub(super) const fn new(limit: usize) -> Self {
        Self { text: String::new(), limit }
    }

    /// How much room is left.
    pub(super) fn left(&self) -> usize {
        self.limit.saturating_sub(self.text.len())
    }

    /// Adds an element where there is room for it, and says whether there was.
    pub(super) fn add(&mut self, text: &str) -> bool {
        let fits = text.len() <= self.left();
        if fits {
            self.text.push_str(text);
        }
        fits
    }

    /// Adds as many elements as there is room for, and how many there are beside them.
    pub(super) fn list(&mut self, list: &List<'_>) {
        if list.count == 0 {
            return;
        }
        let room = list.share.min(self.left());
        let around = list.head.len() + list.foot.len() + (list.more)(list.count).len();
        if around > room {
            self.add(&(list.more)(list.count));
            return;
        }
        let mut left = room - around;
        let mut shown = 0;
        self.text.push_str(list.head);
        while shown < list.count {
            let Some(one) = (list.each)(shown, left).filter(|one| one.len() <= left) else { break };
            self.text.push_str(&one);
            left -= one.len();
            shown += 1;
        }
        self.text.push_str(list.foot);
        if shown < list.count {
            self.text.push_str(&(list.more)(list.count - shown));
        }
    }

    /// The text.
    pub(super) fn done(self) -> String {
        self.text
    }
}
