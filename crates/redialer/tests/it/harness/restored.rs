//! Backups of a walk's database, and its second life from one.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Output,
};

use super::{Engine, Walk, new_database, said};

impl Walk {
    /// A file beside the data.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Where the server keeps its data.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.beside(&self.data)
    }

    /// A backup of this moment, taken beside the running server.
    pub(crate) fn backup(&self) -> PathBuf {
        let file = self.beside("backup");
        said(self.command().arg("backup").arg(&file));
        file
    }

    /// Restores it where the data is now.
    pub(crate) fn restore_here(&self, file: &Path) -> Output {
        self.command().arg("restore").arg(file).output().expect("run")
    }

    /// Restores it into a new place, where the key was put first, and lives on there.
    pub(crate) fn restore(&mut self, file: &Path, engine: Engine) -> Output {
        self.move_house(engine);
        self.restore_here(file)
    }

    /// The same, with the keys of a keyring.
    pub(crate) fn restore_with_keys(&mut self, file: &Path, keys: &Path, engine: Engine) -> Output {
        self.move_house(engine);
        self.command().arg("restore").arg(file).arg("--keys").arg(keys).output().expect("run")
    }

    /// A new place, with the key in it.
    fn move_house(&mut self, engine: Engine) {
        let kek = self.data_dir().join("kek");
        self.data.push('+');
        fs::create_dir_all(self.data_dir()).expect("made");
        fs::copy(kek, self.data_dir().join("kek")).expect("copied");
        self.database = (engine == Engine::Postgres).then(new_database);
    }
}
