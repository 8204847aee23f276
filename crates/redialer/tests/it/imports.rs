//! No two files of a crate import each other, directly or indirectly. A parent and its children may.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use syn::{
    Item, ItemMod, ItemUse, UseTree, Visibility,
    visit::{self, Visit},
};

use crate::tidy::{root, sources};

/// A module's path within its crate: `["flow", "job"]`; empty for the root.
type Module = Vec<String>;

/// The parsed modules of one crate.
struct Crate {
    modules: BTreeMap<Module, syn::File>,
    /// Names that the root re-exports, and the modules they come from.
    handed_on: BTreeMap<String, Module>,
}

impl Crate {
    fn read(name: &str) -> Self {
        let src = format!("crates/{name}/src/");
        let mut modules = BTreeMap::new();
        for (file, text) in sources() {
            let Some(path) = file.strip_prefix(&src).and_then(|file| file.strip_suffix(".rs")) else {
                continue;
            };
            let mut module: Module = path.split('/').map(str::to_owned).collect();
            if module.last().is_some_and(|last| matches!(last.as_str(), "mod" | "lib" | "main")) {
                module.pop();
            }
            let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            modules.insert(module, parsed);
        }
        let root = fs::read_to_string(root().join(&src).join("lib.rs")).expect("text");
        let mut handed_on = BTreeMap::new();
        for item in syn::parse_file(&root).expect("Rust").items {
            if let Item::Use(ItemUse {
                vis: Visibility::Public(_) | Visibility::Restricted(_), tree, ..
            }) = item
            {
                for mut path in paths_of(&tree) {
                    path.retain(|part| part != "crate" && part != "self");
                    if let Some(name) = path.pop() {
                        handed_on.insert(name, path);
                    }
                }
            }
        }
        Self { modules, handed_on }
    }

    /// The module that a path leads to, used in the module `from`.
    fn resolve(&self, from: &Module, path: &[String]) -> Module {
        let ups = path.iter().take_while(|part| *part == "super").count();
        let (base, rest) = match path.first().map(String::as_str) {
            Some("crate") => (&[][..], &path[1..]),
            Some("self") => (from.as_slice(), &path[1..]),
            _ => (&from[..from.len().saturating_sub(ups)], &path[ups..]),
        };
        let mut found: Module = base.iter().chain(rest).cloned().collect();
        let name = found.first().cloned();
        while !self.modules.contains_key(&found) {
            found.pop();
        }
        match name.and_then(|name| self.handed_on.get(&name)) {
            Some(module) if found.is_empty() => self.resolve(&Module::new(), &as_path(module)),
            _ => found,
        }
    }

    /// The modules that a module imports, except its parents and children.
    fn imports(&self, module: &Module, file: &syn::File) -> BTreeSet<Module> {
        let mut paths = Paths::default();
        paths.visit_file(file);
        let found = paths.0.iter().map(|path| self.resolve(module, path));
        found.filter(|to| !to.starts_with(module) && !module.starts_with(to)).collect()
    }
}

fn as_path(module: &Module) -> Vec<String> {
    std::iter::once("crate".to_owned()).chain(module.iter().cloned()).collect()
}

/// The paths in a file that start at its crate, at itself or at its parent, without those in its tests.
#[derive(Default)]
struct Paths(Vec<Vec<String>>);

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.0.extend(paths_of(&item.tree).into_iter().filter(|path| is_local(path)));
    }

    fn visit_item_mod(&mut self, _of_tests: &'ast ItemMod) {}

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let path: Vec<String> = path.segments.iter().map(|part| part.ident.to_string()).collect();
        if is_local(&path) {
            self.0.push(path);
        }
    }

    fn visit_visibility(&mut self, _names_no_import: &'ast Visibility) {}

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        visit::visit_path(self, &item.mac.path);
    }
}

fn is_local(path: &[String]) -> bool {
    path.first().is_some_and(|first| matches!(first.as_str(), "crate" | "self" | "super"))
}

fn paths_of(tree: &UseTree) -> Vec<Vec<String>> {
    match tree {
        UseTree::Path(path) => {
            let below = paths_of(&path.tree).into_iter();
            below.map(|rest| std::iter::once(path.ident.to_string()).chain(rest).collect()).collect()
        }
        UseTree::Name(name) => vec![vec![name.ident.to_string()]],
        UseTree::Rename(name) => vec![vec![name.ident.to_string()]],
        UseTree::Glob(_) => vec![Vec::new()],
        UseTree::Group(group) => group.items.iter().flat_map(paths_of).collect(),
    }
}

#[test]
fn no_two_files_import_each_other() {
    for name in ["store", "redialer"] {
        let of = Crate::read(name);
        let imports: BTreeMap<&Module, BTreeSet<Module>> =
            of.modules.iter().map(|(module, file)| (module, of.imports(module, file))).collect();
        let reached = |from: &Module| {
            let (mut reached, mut next) = (BTreeSet::new(), vec![from]);
            while let Some(module) = next.pop() {
                next.extend(imports[module].iter().filter(|to| reached.insert((*to).clone())));
            }
            reached
        };
        let cyclic: Vec<String> = imports
            .keys()
            .filter(|module| reached(module).contains(**module))
            .map(|m| m.join("::"))
            .collect();
        assert!(cyclic.is_empty(), "{name}: these import each other: {cyclic:?}");
    }
}
