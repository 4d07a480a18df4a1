// SPDX-License-Identifier: Apache-2.0
//! The FUSE file system: every read of a counter is computed at that moment.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use fuser::{
    BackgroundSession, BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem,
    FopenFlags, Generation, INodeNo, LockOwner, MountOption, OpenFlags, ReplyAttr, ReplyData,
    ReplyDirectory, ReplyEntry, ReplyOpen, Request, SessionACL, TimeOrNow,
};
use rustix::mount::UnmountFlags;

use crate::meter::{Fault, Meter, now};
use crate::tree::{Node, Tree};

/// Nothing is cached: faults show at once.
const NO_TTL: Duration = Duration::ZERO;
/// Inode numbers: the life of the zone above, the entry's index below.
const LIFE_SHIFT: u32 = 32;

/// A mounted tree; unmounted when dropped.
#[derive(Debug)]
pub struct Mounted {
    root: PathBuf,
    meters: Vec<Arc<Meter>>,
    session: Option<BackgroundSession>,
}

impl Mounted {
    /// The folder to pass as `--sysfs`.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A meter, by its key (`package-0`, `package-0/dram`, `psys`, or a hwmon
    /// sensor's `device/file`); `rapl:` before it is ignored.
    ///
    /// # Panics
    ///
    /// If there is none of that key.
    pub fn meter(&self, key: &str) -> &Meter {
        let key = key.strip_prefix("rapl:").unwrap_or(key);
        let found = self.meters.iter().find(|meter| meter.key == key);
        found.unwrap_or_else(|| panic!("the stand-in has no {key}"))
    }

    /// The true energy of a meter between two times of `CLOCK_BOOTTIME` (ns), µJ.
    pub fn truth(&self, key: &str, from: u64, to: u64) -> u64 {
        self.meter(key).energy_between(from, to)
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Detached, so that it works while a file is open; the threads end with
        // the last of them. The session is not dropped, as it would unmount again.
        if rustix::mount::unmount(&self.root, UnmountFlags::DETACH).is_ok() {
            std::mem::forget(self.session.take());
        }
    }
}

pub(crate) fn mount(tree: Tree, meters: Vec<Arc<Meter>>, folder: &Path) -> io::Result<Mounted> {
    let mut config = Config::default();
    config.mount_options = vec![
        MountOption::FSName("powercap-standin".into()),
        // The kernel heeds the files' modes, as sysfs does.
        MountOption::DefaultPermissions,
    ];
    config.acl = SessionACL::All;
    // A slow read must not hold up the others.
    config.n_threads = Some(4);
    let files = Files { tree, meters: meters.clone(), given: Mutex::default() };
    let session = fuser::spawn_mount(files, folder, &config)?;
    Ok(Mounted { root: folder.to_path_buf(), meters, session: Some(session) })
}

#[derive(Debug)]
struct Files {
    tree: Tree,
    meters: Vec<Arc<Meter>>,
    /// Mode and group of files that somebody changed, as sysfs allows; a file that is
    /// made anew (another inode) has its first ones again.
    given: Mutex<HashMap<u64, (u16, u32)>>,
}

impl Files {
    /// The lives of an entry's meter and of those that it is in, if all are there.
    fn life(&self, index: usize) -> Option<u64> {
        let mut life = 0;
        let mut next = self.tree.entries[index].meter;
        while let Some(meter) = next {
            let state = self.meters[meter].state();
            if state.gone {
                return None;
            }
            life += state.life;
            next = self.meters[meter].parent;
        }
        Some(life)
    }

    fn inode(&self, index: usize) -> Option<INodeNo> {
        self.life(index).map(|life| INodeNo((life << LIFE_SHIFT) + index as u64 + 1))
    }

    /// The entry of an inode of this life; one of an earlier life is gone.
    fn entry(&self, inode: INodeNo) -> Option<usize> {
        let index = (inode.0 & ((1 << LIFE_SHIFT) - 1)) as usize - 1;
        (self.inode(index)? == inode).then_some(index)
    }

    fn attributes(&self, index: usize) -> Option<FileAttr> {
        let (kind, perm, size) = match &self.tree.entries[index].node {
            Node::Folder => (FileType::Directory, 0o755, 0),
            Node::Link(target) => (FileType::Symlink, 0o777, target.len() as u64),
            Node::Energy(_, mode) => (FileType::RegularFile, *mode, 4_096),
            _ => (FileType::RegularFile, 0o444, 4_096),
        };
        let ino = self.inode(index)?;
        let given = self.given.lock().expect("no panic under this lock");
        let (perm, gid) = given.get(&ino.0).copied().unwrap_or((perm, 0));
        Some(FileAttr {
            ino,
            size,
            blocks: 0,
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid,
            rdev: 0,
            blksize: 4_096,
            flags: 0,
        })
    }

    fn content(&self, index: usize) -> Result<String, Errno> {
        match &self.tree.entries[index].node {
            Node::Text(text) => Ok(text.clone()),
            Node::Energy(meter, _) => self.value(*meter, Meter::shown_at),
            Node::Power(meter) => self.value(*meter, Meter::power_at),
            Node::Status(meter) => {
                let asleep = self.meters[*meter].state().fault.is_some();
                Ok(if asleep { "suspended\n" } else { "active\n" }.to_owned())
            }
            Node::Folder => Err(Errno::EISDIR),
            Node::Link(_) => Err(Errno::EINVAL),
        }
    }

    fn value(&self, meter: usize, at: fn(&Meter, u64) -> u64) -> Result<String, Errno> {
        let meter = &self.meters[meter];
        let (fault, delay) = {
            let mut state = meter.state();
            state.reads += 1;
            (state.fault.clone(), state.delay)
        };
        // Half before and half after the value, as a slow bus would have it.
        std::thread::sleep(delay / 2);
        let value = match fault {
            None => Ok(format!("{}\n", at(meter, now()))),
            Some(Fault::NotPermitted) => Err(Errno::EACCES),
            Some(Fault::Io) => Err(Errno::EIO),
            Some(Fault::NoDevice) => Err(Errno::ENODEV),
            Some(Fault::Empty) => Ok(String::new()),
            Some(Fault::Text(text)) => Ok(text),
        };
        std::thread::sleep(delay / 2);
        value
    }
}

impl Filesystem for Files {
    fn lookup(&self, _request: &Request, parent: INodeNo, name: &OsStr, reply: ReplyEntry) {
        let found = self.entry(parent).and_then(|parent| {
            let children = &self.tree.entries[parent].children;
            children.iter().copied().find(|child| name == self.tree.entries[*child].name.as_str())
        });
        match found.and_then(|index| self.attributes(index)) {
            Some(attributes) => reply.entry(&NO_TTL, &attributes, Generation(0)),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn getattr(&self, _: &Request, inode: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.entry(inode).and_then(|index| self.attributes(index)) {
            Some(attributes) => reply.attr(&NO_TTL, &attributes),
            None => reply.error(Errno::ENOENT),
        }
    }

    fn setattr(
        &self,
        _request: &Request,
        inode: INodeNo,
        mode: Option<u32>,
        _uid: Option<u32>,
        gid: Option<u32>,
        _size: Option<u64>,
        _atime: Option<TimeOrNow>,
        _mtime: Option<TimeOrNow>,
        _ctime: Option<SystemTime>,
        _handle: Option<FileHandle>,
        _crtime: Option<SystemTime>,
        _chgtime: Option<SystemTime>,
        _bkuptime: Option<SystemTime>,
        _flags: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let Some(now) = self.entry(inode).and_then(|index| self.attributes(index)) else {
            return reply.error(Errno::ENOENT);
        };
        let perm = mode.map_or(now.perm, |mode| (mode & 0o7777) as u16);
        let gid = gid.unwrap_or(now.gid);
        self.given.lock().expect("no panic under this lock").insert(inode.0, (perm, gid));
        reply.attr(&NO_TTL, &FileAttr { perm, gid, ..now });
    }

    fn readlink(&self, _request: &Request, inode: INodeNo, reply: ReplyData) {
        match self.entry(inode).map(|index| &self.tree.entries[index].node) {
            Some(Node::Link(target)) => reply.data(target.as_bytes()),
            _ => reply.error(Errno::ENOENT),
        }
    }

    fn open(&self, _request: &Request, inode: INodeNo, _flags: OpenFlags, reply: ReplyOpen) {
        let Some(index) = self.entry(inode) else {
            return reply.error(Errno::ENOENT);
        };
        if let Node::Energy(meter, _) | Node::Power(meter) = self.tree.entries[index].node
            && self.meters[meter].state().fault == Some(Fault::NotPermitted)
        {
            return reply.error(Errno::EACCES);
        }
        reply.opened(FileHandle(0), FopenFlags::FOPEN_DIRECT_IO);
    }

    fn read(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        size: u32,
        _flags: OpenFlags,
        _lock_owner: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let Some(index) = self.entry(inode) else {
            return reply.error(Errno::ENODEV);
        };
        match self.content(index) {
            Ok(text) => {
                let from = (offset as usize).min(text.len());
                let to = (from + size as usize).min(text.len());
                reply.data(&text.as_bytes()[from..to]);
            }
            Err(errno) => reply.error(errno),
        }
    }

    fn readdir(
        &self,
        _request: &Request,
        inode: INodeNo,
        _handle: FileHandle,
        offset: u64,
        mut reply: ReplyDirectory,
    ) {
        let Some(index) = self.entry(inode) else {
            return reply.error(Errno::ENOENT);
        };
        let children = &self.tree.entries[index].children;
        for (position, child) in children.iter().enumerate().skip(offset as usize) {
            let Some(attributes) = self.attributes(*child) else { continue };
            let name = &self.tree.entries[*child].name;
            if reply.add(attributes.ino, position as u64 + 1, attributes.kind, name) {
                break;
            }
        }
        reply.ok();
    }
}
