// SPDX-License-Identifier: Apache-2.0
//! The files and links of the stand-in's `/sys`, in the kernel's real layout.

use std::collections::BTreeMap;

/// What a path is.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    /// A folder.
    Folder,
    /// A relative link.
    Link(String),
    /// A file that never changes.
    Text(String),
    /// `energy_uj`, `energyN_input`: a meter's counter, and the file's mode.
    Energy(usize, u16),
    /// `powerN_average`: a meter's power.
    Power(usize),
    /// `runtime_status`: `suspended` while the meter is gone asleep.
    Status(usize),
}

/// One path of the tree.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) node: Node,
    pub(crate) children: Vec<usize>,
    pub(crate) name: String,
    /// The meter that it vanishes with.
    pub(crate) meter: Option<usize>,
}

/// All paths; the first is the root.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) entries: Vec<Entry>,
    paths: BTreeMap<String, usize>,
}

impl Tree {
    pub(crate) fn new() -> Self {
        let root =
            Entry { node: Node::Folder, children: Vec::new(), name: String::new(), meter: None };
        Tree { entries: vec![root], paths: BTreeMap::from([(String::new(), 0)]) }
    }

    /// The folder at a path such as `class/powercap`, made with those above it.
    pub(crate) fn folder(&mut self, path: &str, meter: Option<usize>) -> usize {
        if let Some(index) = self.paths.get(path) {
            return *index;
        }
        self.put(path, Node::Folder, meter)
    }

    /// Puts something at a path; the folders above are made.
    pub(crate) fn put(&mut self, path: &str, node: Node, meter: Option<usize>) -> usize {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.folder(above, None);
        let index = self.entries.len();
        self.entries.push(Entry { node, children: Vec::new(), name: name.to_owned(), meter });
        self.entries[parent].children.push(index);
        self.paths.insert(path.to_owned(), index);
        index
    }

    /// A file of fixed text with a newline, as sysfs has.
    pub(crate) fn text(&mut self, path: &str, text: &str, meter: Option<usize>) {
        self.put(path, Node::Text(format!("{text}\n")), meter);
    }

    /// Every path with what is there, folders before what is in them.
    pub(crate) fn paths(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.paths.iter().map(|(path, index)| (path.as_str(), &self.entries[*index].node))
    }
}
