//! The imports between the modules of `actors/src`, read off the sources.

use std::collections::{BTreeMap, BTreeSet};

use crate::Source;

/// The names of a path from the crate's root, which itself is empty.
type Path = Vec<String>;

/// Which modules import which.
pub(crate) struct Imports {
    /// The paths that each module names.
    named: BTreeMap<Path, BTreeSet<Path>>,
    /// Where a re-exported path comes from.
    origins: BTreeMap<Path, Path>,
}

impl Imports {
    /// Reads what comes before the tests of each file.
    pub(crate) fn of(sources: &[Source]) -> Self {
        let products: Vec<_> = sources.iter().filter(|source| !source.is_test()).collect();
        let modules: BTreeSet<Path> = products.iter().map(|source| module(source)).collect();
        let mut imports = Self { named: BTreeMap::new(), origins: BTreeMap::new() };
        for source in products {
            let module = module(source);
            let absolute = |path: &str| absolute(path, &module, &modules);
            let (uses, rest) = split(source);
            let mut named: BTreeSet<Path> =
                paths(&rest).iter().filter_map(|path| absolute(path)).collect();
            for (is_exported, tree) in uses {
                for leaf in leaves(&tree) {
                    let (path, alias) = leaf.split_once(" as ").unwrap_or((&leaf, ""));
                    let Some(origin) = absolute(path) else { continue };
                    if is_exported && let Some(name) = origin.last() {
                        let name = if alias.is_empty() { name } else { alias };
                        let exported = [module.as_slice(), &[name.to_owned()]].concat();
                        imports.origins.insert(exported, origin.clone());
                    }
                    named.insert(origin);
                }
            }
            imports.named.insert(module, named);
        }
        imports
    }

    /// Returns the module that defines what a path names, past all re-exports.
    fn defined_in(&self, path: &Path) -> Path {
        let is_module = |length: &usize| self.named.contains_key(&path[..*length]);
        let length = (0..=path.len()).rev().find(is_module).unwrap_or_default();
        let item = path.iter().take(length + 1).cloned().collect::<Path>();
        match self.origins.get(&item) {
            Some(origin) if *origin != item => self.defined_in(origin),
            Some(_) | None => path[..length].to_vec(),
        }
    }

    /// Returns the modules from which each imports.
    fn edges(&self) -> BTreeMap<Path, BTreeSet<Path>> {
        let targets = |(module, named): (&Path, &BTreeSet<Path>)| {
            let targets = named.iter().map(|path| self.defined_in(path));
            (module.clone(), targets.filter(|target| target != module).collect())
        };
        self.named.iter().map(targets).collect()
    }

    /// Returns the circles, each by the name of its first module: modules of which each imports all
    /// others, be it by way of others.
    pub(crate) fn circles(&self) -> BTreeMap<String, Vec<String>> {
        let edges = self.edges();
        let reached: BTreeMap<&Path, BTreeSet<&Path>> =
            edges.keys().map(|module| (module, reached(module, &edges))).collect();
        let mut circles: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (module, ahead) in &reached {
            // The first is the same for all modules of a circle: each reaches itself.
            if let Some(first) = ahead.iter().find(|other| reached[*other].contains(module)) {
                circles.entry(first.join("::")).or_default().push(module.join("::"));
            }
        }
        circles
    }
}

/// Returns the modules that one imports from, be it by way of others.
fn reached<'a>(module: &'a Path, edges: &'a BTreeMap<Path, BTreeSet<Path>>) -> BTreeSet<&'a Path> {
    let (mut reached, mut next) = (BTreeSet::new(), vec![module]);
    while let Some(module) = next.pop() {
        next.extend(edges[module].iter().filter(|target| reached.insert(*target)));
    }
    reached
}

fn module(source: &Source) -> Path {
    let path = source.path.with_extension("");
    let mut module: Path = path.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    module.pop_if(|last| last == "mod" || last == "lib");
    module
}

/// Splits the code into the trees of its `use` declarations, each with whether it is a re-export, and
/// all else.
fn split(source: &Source) -> (Vec<(bool, String)>, String) {
    let (mut uses, mut rest) = (Vec::<(bool, String)>::new(), String::new());
    let mut is_within = false;
    for line in source.product() {
        let line = line.split("//").next().unwrap_or(line).trim();
        let (visibility, tree) = match line.split_once("use ") {
            Some(("", tree)) => ("", tree),
            Some((visibility, tree)) if visibility.starts_with("pub") => (visibility, tree),
            Some(_) | None => ("", ""),
        };
        if is_within || !tree.is_empty() {
            match uses.last_mut() {
                Some((_, started)) if is_within => started.push_str(line),
                Some(_) | None => uses.push((!visibility.is_empty(), tree.to_owned())),
            }
            is_within = !line.ends_with(';');
        } else {
            rest.push_str(line);
            rest.push('\n');
        }
    }
    (uses, rest)
}

/// Returns the paths of a tree such as `crate::a::{self, b::{C, D}}`.
fn leaves(tree: &str) -> Vec<String> {
    let tree = tree.trim().trim_end_matches(';');
    let Some((stem, group)) = tree.split_once('{') else {
        return vec![tree.trim_end_matches("::self").to_owned()];
    };
    let group = group.rsplit_once('}').map_or(group, |(group, _)| group);
    let mut depth = 0;
    let ends_member = |character: char| {
        depth += i32::from(character == '{') - i32::from(character == '}');
        character == ',' && depth == 0
    };
    let members: Vec<&str> = group.split(ends_member).collect();
    let members = members.iter().map(|member| member.trim()).filter(|member| !member.is_empty());
    members.flat_map(|member| leaves(&format!("{stem}{member}"))).collect()
}

/// Returns the paths from `crate` or `super` in code, without those of a visibility.
fn paths(code: &str) -> Vec<String> {
    let is_of_path = |character: char| character.is_alphanumeric() || "_:".contains(character);
    let words: Vec<&str> = code.split(|character| !is_of_path(character)).collect();
    let begins = |word: &str| word.starts_with("crate::") || word.starts_with("super::");
    let (first, pairs) = (words.first(), words.windows(2));
    let rest = pairs.filter(|pair| pair[0] != "in").map(|pair| &pair[1]);
    first
        .into_iter()
        .chain(rest)
        .filter(|word| begins(word))
        .map(|word| (*word).to_owned())
        .collect()
}

/// Returns a path from the crate's root; `None` for one of another crate or of no module.
fn absolute(path: &str, module: &Path, modules: &BTreeSet<Path>) -> Option<Path> {
    let mut names = path.split("::").peekable();
    let mut absolute = module.clone();
    match names.peek().copied()? {
        "crate" => absolute.clear(),
        "self" | "super" => {}
        child if modules.contains(&[module.as_slice(), &[child.to_owned()]].concat()) => {}
        _ => return None,
    }
    for name in names {
        match name {
            "crate" | "self" => {}
            "super" => drop(absolute.pop()),
            name => absolute.push(name.to_owned()),
        }
    }
    Some(absolute)
}

/// What the functions above make of code, so that no circle is missed for a way to write a path.
#[test]
fn imports_are_read_however_they_are_written() {
    let source = |path: &str, text: &str| Source { path: path.into(), text: text.to_owned() };
    let circles = |sources: &[Source]| Imports::of(sources).circles();
    let none: &[(&str, &[&str])] = &[];
    for (a, b, expected) in [
        ("use super::b::B;\n", "use super::a::A;\n", &[("a", &["a", "b"][..])][..]),
        ("use crate::{\n    b::B,\n    c,\n};\n", "use super::a;\n", &[("a", &["a", "b"])]),
        ("use super::b::{self, B};\n", "use super::a;\n", &[("a", &["a", "b"])]),
        ("fn f() { crate::b::f(); }\n", "impl super::a::A {}\n", &[("a", &["a", "b"])]),
        // Only the root's own items would be in a circle with it; this one is re-exported.
        ("use crate::B;\n", "use crate::c::C;\n", none),
        ("use super::b::B;\n", "use super::c;\n", none),
        ("// use super::b::B;\n", "use super::a::A;\n", none),
        ("pub(in crate::b) fn f() {}\n", "use super::a::f;\n", none),
        ("#[cfg(test)]\nuse super::b::B;\n", "use super::a::A;\n", none),
    ] {
        let root = source("lib.rs", "mod a;\nmod b;\npub use b::B;\n");
        let sources = [root, source("a.rs", a), source("b.rs", b), source("c/mod.rs", "")];
        let expected = expected.iter().map(|(first, all)| {
            ((*first).to_owned(), all.iter().map(|name| (*name).to_owned()).collect())
        });
        assert_eq!(circles(&sources), expected.collect(), "{a}{b}");
    }
}
