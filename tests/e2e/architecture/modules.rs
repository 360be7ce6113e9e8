//! Which file of a crate names something in which other, read from the sources as written.
//!
//! A name counts as belonging to the file that defines it, however many modules re-export it: `use
//! crate::export::Footer` is a tie to `export/footer.rs` if `export/mod.rs` re-exports it from there, and a module that
//! is only passed through ties nothing. The arguments of macros are searched for paths; their expansions are not seen,
//! nor is a type that is never named. Code for tests (`#[cfg(test)]`) does not count.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::ext::IdentExt;
use syn::visit::{self, Visit};
use syn::{Attribute, ImplItem, Item, ItemMod, ItemUse, Lit, Meta, TraitItem, UseTree};

/// A module: a file, or a part of one.
struct Module {
    /// Its path in the crate, without `crate`.
    path: Vec<String>,
    file: PathBuf,
    children: BTreeMap<String, usize>,
    items: BTreeSet<String>,
    /// What `use` brings in, by its name here.
    imports: BTreeMap<String, Vec<String>>,
    globs: Vec<Vec<String>>,
    mentions: Vec<Mention>,
}

/// A path as written somewhere.
struct Mention {
    path: Vec<String>,
    line: usize,
}

/// The target of a path: a module, or something in one.
#[derive(Clone, Copy)]
enum Found {
    Module(usize),
    Item(usize),
}

/// The modules of a program or a library.
pub(super) struct Modules {
    all: Vec<Module>,
}

/// One file, or folder, that needs another.
#[derive(Clone)]
pub(super) struct Tie {
    pub(super) from: String,
    pub(super) to: String,
    /// Where it does so.
    pub(super) evidence: String,
}

impl Modules {
    /// Reads the crate whose root is this file.
    pub(super) fn read(root: &Path) -> Self {
        let mut all = Vec::new();
        read_file(&mut all, Vec::new(), root);
        Self { all }
    }

    /// Each file that names something in another file, with the first place where it does. `base` is stripped from the
    /// files' names.
    pub(super) fn ties_of_files(&self, base: &Path) -> Vec<Tie> {
        let name = |module: &Module| label(&module.file, base);
        self.ties(base, |from, to| {
            (from.file != to.file).then(|| (name(from), name(to)))
        })
    }

    /// Each module that, including everything below it, names something in a sibling.
    pub(super) fn ties_of_folders(&self, base: &Path) -> Vec<Tie> {
        self.ties(base, |from, to| {
            let same = from.path.iter().zip(&to.path).take_while(|(a, b)| a == b).count();
            let beside = from.path.len() > same && to.path.len() > same;
            let lifted = |module: &Module| format!("crate::{}", module.path[..=same].join("::"));
            beside.then(|| (lifted(from), lifted(to)))
        })
    }

    fn ties(&self, base: &Path, ends: impl Fn(&Module, &Module) -> Option<(String, String)>) -> Vec<Tie> {
        let mut found = BTreeMap::new();
        for (index, module) in self.all.iter().enumerate() {
            for mention in &module.mentions {
                let Some(Found::Item(of)) = self.resolve(index, &mention.path, &mut BTreeSet::new()) else {
                    continue;
                };
                if let Some(ends) = ends(module, &self.all[of]) {
                    let (file, path) = (label(&module.file, base), mention.path.join("::"));
                    let evidence = format!("{file}:{}: {path}", mention.line);
                    found.entry(ends).or_insert(evidence);
                }
            }
        }
        let ties = found
            .into_iter()
            .map(|((from, to), evidence)| Tie { from, to, evidence });
        ties.collect()
    }

    fn find(&self, path: &[String]) -> Option<usize> {
        self.all.iter().position(|module| module.path == path)
    }

    /// What a path means in a module. `seen` are the imports that lead here.
    fn resolve(
        &self,
        within: usize,
        path: &[String],
        seen: &mut BTreeSet<(usize, Vec<String>)>,
    ) -> Option<Found> {
        let (first, mut rest) = path.split_first()?;
        let mut found = match first.as_str() {
            "crate" => Found::Module(0),
            "self" => Found::Module(within),
            "super" => {
                let (_, mut parent) = self.all[within].path.split_last()?;
                while let Some((next, after)) = rest.split_first()
                    && next == "super"
                {
                    (_, parent) = parent.split_last()?;
                    rest = after;
                }
                Found::Module(self.find(parent)?)
            }
            name => self.member(within, name, seen)?,
        };
        for name in rest {
            found = match found {
                Found::Module(module) => self.member(module, name, seen)?,
                Found::Item(_) => return Some(found),
            };
        }
        Some(found)
    }

    fn member(&self, of: usize, name: &str, seen: &mut BTreeSet<(usize, Vec<String>)>) -> Option<Found> {
        let module = &self.all[of];
        if let Some(child) = module.children.get(name) {
            return Some(Found::Module(*child));
        }
        if module.items.contains(name) {
            return Some(Found::Item(of));
        }
        if let Some(path) = module.imports.get(name)
            && seen.insert((of, path.clone()))
        {
            return self.resolve(of, path, seen);
        }
        module.globs.iter().find_map(|glob| {
            if !seen.insert((of, [glob.as_slice(), &[name.to_owned()]].concat())) {
                return None;
            }
            match self.resolve(of, glob, seen)? {
                Found::Module(module) if module != of => self.member(module, name, seen),
                Found::Module(_) | Found::Item(_) => None,
            }
        })
    }
}

fn label(file: &Path, base: &Path) -> String {
    file.strip_prefix(base).unwrap_or(file).display().to_string()
}

fn read_file(all: &mut Vec<Module>, path: Vec<String>, file: &Path) {
    let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    read_items(all, path, file, &parsed.items);
}

/// Reads a module and everything below it; returns its place.
fn read_items(all: &mut Vec<Module>, path: Vec<String>, file: &Path, items: &[Item]) -> usize {
    let index = all.len();
    all.push(Module {
        path: path.clone(),
        file: file.to_owned(),
        children: BTreeMap::new(),
        items: BTreeSet::new(),
        imports: BTreeMap::new(),
        globs: Vec::new(),
        mentions: Vec::new(),
    });
    let mut reader = Reader {
        module: &mut all[index],
    };
    let shipped = items.iter().filter(|item| !is_for_tests(attributes(item)));
    let mut modules = Vec::new();
    for item in shipped {
        if let Item::Mod(module) = item {
            modules.push(module);
            continue;
        }
        if let Some(name) = name_of(item) {
            reader.module.items.insert(name);
        }
        reader.visit_item(item);
    }
    for module in modules {
        let name = module.ident.unraw().to_string();
        let child_path = [path.as_slice(), std::slice::from_ref(&name)].concat();
        let child = all.len();
        match &module.content {
            Some((_, items)) => {
                read_items(all, child_path, file, items);
            }
            None => read_file(all, child_path, &file_of(module, &name, file)),
        }
        all[index].children.insert(name, child);
    }
    index
}

/// The file of `mod name;` in `parent`.
fn file_of(module: &ItemMod, name: &str, parent: &Path) -> PathBuf {
    let folder = parent.parent().unwrap_or(Path::new(""));
    for attribute in &module.attrs {
        if let Meta::NameValue(meta) = &attribute.meta
            && meta.path.is_ident("path")
            && let syn::Expr::Lit(literal) = &meta.value
            && let Lit::Str(path) = &literal.lit
        {
            return folder.join(path.value());
        }
    }
    let stem = parent.file_stem().unwrap_or_default().to_string_lossy();
    let folder = match &*stem {
        "mod" | "lib" | "main" => folder.to_owned(),
        stem => folder.join(stem),
    };
    let file = folder.join(format!("{name}.rs"));
    if file.exists() {
        file
    } else {
        folder.join(name).join("mod.rs")
    }
}

/// Collects what a module imports and names.
struct Reader<'a> {
    module: &'a mut Module,
}

impl Reader<'_> {
    fn mention(&mut self, path: Vec<String>, span: proc_macro2::Span) {
        self.module.mentions.push(Mention {
            path,
            line: span.start().line,
        });
    }

    fn import(&mut self, before: &[String], tree: &UseTree) {
        let with = |name: &syn::Ident| [before, &[name.unraw().to_string()]].concat();
        let (path, name) = match tree {
            UseTree::Path(tree) => return self.import(&with(&tree.ident), &tree.tree),
            UseTree::Group(group) => return group.items.iter().for_each(|tree| self.import(before, tree)),
            UseTree::Glob(_) => return self.module.globs.push(before.to_vec()),
            UseTree::Name(tree) if tree.ident == "self" => {
                (before.to_vec(), before.last().cloned().unwrap_or_default())
            }
            UseTree::Name(tree) => (with(&tree.ident), tree.ident.unraw().to_string()),
            UseTree::Rename(tree) if tree.ident == "self" => {
                (before.to_vec(), tree.rename.unraw().to_string())
            }
            UseTree::Rename(tree) => (with(&tree.ident), tree.rename.unraw().to_string()),
        };
        let span = match tree {
            UseTree::Name(tree) => tree.ident.span(),
            UseTree::Rename(tree) => tree.ident.span(),
            UseTree::Path(_) | UseTree::Group(_) | UseTree::Glob(_) => return,
        };
        self.module.imports.insert(name, path.clone());
        self.mention(path, span);
    }

    /// The paths among the tokens of a macro.
    fn tokens(&mut self, tokens: TokenStream) {
        let mut path: Vec<String> = Vec::new();
        let (mut colons, mut span) = (0, None);
        for token in tokens.into_iter().map(Some).chain([None]) {
            match token {
                Some(TokenTree::Ident(ident)) => {
                    if colons != 2 {
                        self.end_of_path(&mut path, span);
                    }
                    path.push(ident.unraw().to_string());
                    (colons, span) = (0, Some(ident.span()));
                }
                Some(TokenTree::Punct(punct)) if punct.as_char() == ':' && !path.is_empty() => colons += 1,
                other => {
                    self.end_of_path(&mut path, span);
                    colons = 0;
                    if let Some(TokenTree::Group(group)) = other
                        && group.delimiter() != Delimiter::None
                    {
                        self.tokens(group.stream());
                    }
                }
            }
        }
    }

    fn end_of_path(&mut self, path: &mut Vec<String>, span: Option<proc_macro2::Span>) {
        if let Some(span) = span
            && !path.is_empty()
        {
            self.mention(std::mem::take(path), span);
        }
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn visit_item(&mut self, item: &'a Item) {
        if !is_for_tests(attributes(item)) {
            visit::visit_item(self, item);
        }
    }

    fn visit_impl_item(&mut self, item: &'a ImplItem) {
        let attributes = match item {
            ImplItem::Const(item) => &item.attrs,
            ImplItem::Fn(item) => &item.attrs,
            ImplItem::Type(item) => &item.attrs,
            ImplItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_for_tests(attributes) {
            visit::visit_impl_item(self, item);
        }
    }

    fn visit_trait_item(&mut self, item: &'a TraitItem) {
        let attributes = match item {
            TraitItem::Const(item) => &item.attrs,
            TraitItem::Fn(item) => &item.attrs,
            TraitItem::Type(item) => &item.attrs,
            TraitItem::Macro(item) => &item.attrs,
            _ => return,
        };
        if !is_for_tests(attributes) {
            visit::visit_trait_item(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'a ItemUse) {
        if item.leading_colon.is_none() {
            self.import(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'a syn::Path) {
        if let Some(first) = path.segments.first()
            && path.leading_colon.is_none()
        {
            let segments = path.segments.iter();
            let segments = segments.map(|segment| segment.ident.unraw().to_string());
            self.mention(segments.collect(), first.ident.span());
        }
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'a syn::Macro) {
        self.tokens(call.tokens.clone());
        visit::visit_macro(self, call);
    }

    /// Those of derives name functions in literals, as in `serialize_with = "time::as_rfc3339"`.
    fn visit_attribute(&mut self, attribute: &'a Attribute) {
        let Meta::List(list) = &attribute.meta else {
            return;
        };
        self.tokens(list.tokens.clone());
        for token in list.tokens.clone() {
            if let TokenTree::Literal(literal) = token
                && let Lit::Str(text) = Lit::new(literal)
                && let Ok(path) = text.parse::<syn::Path>()
            {
                let segments = path.segments.iter();
                let segments = segments.map(|segment| segment.ident.unraw().to_string());
                self.mention(segments.collect(), text.span());
            }
        }
    }
}

fn name_of(item: &Item) -> Option<String> {
    let name = match item {
        Item::Const(item) => &item.ident,
        Item::Enum(item) => &item.ident,
        Item::Fn(item) => &item.sig.ident,
        Item::Macro(item) => item.ident.as_ref()?,
        Item::Static(item) => &item.ident,
        Item::Struct(item) => &item.ident,
        Item::Trait(item) => &item.ident,
        Item::TraitAlias(item) => &item.ident,
        Item::Type(item) => &item.ident,
        Item::Union(item) => &item.ident,
        _ => return None,
    };
    Some(name.unraw().to_string())
}

fn attributes(item: &Item) -> &[Attribute] {
    match item {
        Item::Const(item) => &item.attrs,
        Item::Enum(item) => &item.attrs,
        Item::ExternCrate(item) => &item.attrs,
        Item::Fn(item) => &item.attrs,
        Item::ForeignMod(item) => &item.attrs,
        Item::Impl(item) => &item.attrs,
        Item::Macro(item) => &item.attrs,
        Item::Mod(item) => &item.attrs,
        Item::Static(item) => &item.attrs,
        Item::Struct(item) => &item.attrs,
        Item::Trait(item) => &item.attrs,
        Item::TraitAlias(item) => &item.attrs,
        Item::Type(item) => &item.attrs,
        Item::Union(item) => &item.attrs,
        Item::Use(item) => &item.attrs,
        _ => &[],
    }
}

/// Whether it exists only in tests: `#[test]`, or `#[cfg(…)]` with a `test` that is not negated.
fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| match &attribute.meta {
        Meta::Path(path) => path.is_ident("test"),
        Meta::List(list) if list.path.is_ident("cfg") => {
            let words = list.tokens.to_string();
            let mut words = words.split(|c: char| !c.is_alphanumeric() && c != '_');
            words.clone().any(|word| word == "test") && !words.any(|word| word == "not")
        }
        Meta::List(_) | Meta::NameValue(_) => false,
    })
}

/// For each group of files or folders that need each other, the shortest cycle, each step with its evidence.
pub(super) fn cycles(ties: &[Tie]) -> Vec<Vec<Tie>> {
    let mut next: BTreeMap<&str, Vec<&Tie>> = BTreeMap::new();
    for tie in ties {
        next.entry(&tie.from).or_default().push(tie);
    }
    let mut rounds: Vec<Vec<Tie>> = next
        .keys()
        .filter_map(|start| shortest_round(start, &next))
        .collect();
    rounds.sort_by_key(Vec::len);
    // One for each group: a longer cycle through the same files says nothing new.
    let (mut told, mut found) = (BTreeSet::new(), Vec::new());
    for round in rounds {
        if round.iter().all(|tie| !told.contains(&tie.from)) {
            told.extend(round.iter().map(|tie| tie.from.clone()));
            found.push(round);
        }
    }
    found
}

fn shortest_round(start: &str, next: &BTreeMap<&str, Vec<&Tie>>) -> Option<Vec<Tie>> {
    let mut came_by: BTreeMap<&str, &Tie> = BTreeMap::new();
    let mut left = std::collections::VecDeque::from([start]);
    while let Some(at) = left.pop_front() {
        for tie in next.get(at).into_iter().flatten() {
            if came_by.contains_key(tie.to.as_str()) {
                continue;
            }
            came_by.insert(&tie.to, tie);
            if tie.to == start {
                let mut round = vec![(*tie).clone()];
                while let Some(last) = round.last()
                    && last.from != start
                {
                    round.push(came_by[last.from.as_str()].clone());
                }
                round.reverse();
                return Some(round);
            }
            left.push_back(&tie.to);
        }
    }
    None
}

/// A cycle, for people to read.
pub(super) fn words(round: &[Tie]) -> String {
    let steps = round
        .iter()
        .map(|tie| format!("  {} needs {}\n      {}\n", tie.from, tie.to, tie.evidence));
    steps.collect()
}
