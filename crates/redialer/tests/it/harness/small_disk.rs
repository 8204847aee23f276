//! A data directory on its own file system, which a test can fill.

use std::{fs, path::PathBuf, process::Command};

use super::Walk;

const MIB: usize = 8;

/// A small file system, unmounted on drop.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills the file system.
    pub(crate) fn fill(&self) {
        let error = fs::write(self.filler(), vec![0; MIB << 20]).expect_err("no room for all of it");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    /// Frees the space again.
    pub(crate) fn free(&self) {
        fs::remove_file(self.filler()).expect("removed");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // The server may still use it: a lazy unmount takes effect when the server exits.
        let done = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(done.expect("run").success());
    }
}

impl Walk {
    /// Moves the data onto a small file system, if one can be mounted, and starts the server on it.
    pub(crate) async fn move_to_small_disk(&mut self) -> Option<SmallDisk> {
        let old = self.data_dir();
        let new = self.beside("small");
        fs::create_dir_all(&new).expect("made");
        let size = format!("size={MIB}m");
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(&new).output();
        if !mount.is_ok_and(|done| done.status.success()) {
            return None;
        }
        let disk = SmallDisk(new.clone());
        assert!(self.terminate().success());
        for entry in fs::read_dir(old).expect("listed") {
            let path = entry.expect("a file").path();
            fs::copy(&path, new.join(path.file_name().expect("a name"))).expect("copied");
        }
        "small".clone_into(&mut self.data);
        self.serve().await;
        Some(disk)
    }
}
