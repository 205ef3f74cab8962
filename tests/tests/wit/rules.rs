//! What holds for every item of wit/, and that each rule can be broken.

use wit_parser::{PackageId, Resolve, Stability, Type, TypeDefKind};

use crate::{
    items::{Item, items},
    package, words,
};

/// Items without documentation.
fn undocumented(item: &Item, _: &Resolve) -> Option<String> {
    let empty = item.docs?.contents.as_deref().unwrap_or_default().trim().is_empty();
    empty.then(|| "has no documentation".to_owned())
}

/// Items without `@since`.
fn unversioned(item: &Item, _: &Resolve) -> Option<String> {
    let known = matches!(item.stability?, Stability::Stable { .. });
    (!known).then(|| "has no @since".to_owned())
}

/// Names that some language keeps for itself, in any of the spellings that generators give them.
fn reserved(item: &Item, _: &Resolve) -> Option<String> {
    let spellings = [item.name.clone(), words::snake(&item.name), words::camel(&item.name), words::pascal(&item.name)];
    let (language, word) = spellings.iter().find_map(|s| words::language_of(s).map(|language| (language, s)))?;
    Some(format!("is called {word}, which means something in {language}"))
}

/// 64-bit numbers that are neither instants nor generations: they are `BigInt` in JavaScript.
fn wide(item: &Item, resolve: &Resolve) -> Option<String> {
    let allowed = item.name.ends_with("-ms") || item.name.ends_with("generation");
    let wide = item.types.iter().any(|ty| holds_64_bits(resolve, ty));
    (wide && !allowed).then(|| "is a 64-bit number, but neither an instant (-ms) nor a generation".to_owned())
}

/// Looks into types without a name; a named one is judged by its own fields.
fn holds_64_bits(resolve: &Resolve, ty: &Type) -> bool {
    let id = match ty {
        Type::U64 | Type::S64 => return true,
        Type::Id(id) => *id,
        _ => return false,
    };
    let typedef = &resolve.types[id];
    let holds = |ty: &Type| holds_64_bits(resolve, ty);
    match &typedef.kind {
        TypeDefKind::Type(ty) => holds(ty),
        _ if typedef.name.is_some() => false,
        TypeDefKind::Option(ty) | TypeDefKind::List(ty) => holds(ty),
        TypeDefKind::Tuple(tuple) => tuple.types.iter().any(holds),
        TypeDefKind::Result(result) => result.ok.iter().chain(&result.err).any(holds),
        _ => false,
    }
}

type Rule = fn(&Item, &Resolve) -> Option<String>;

fn broken(rule: Rule, resolve: &Resolve, package: PackageId) -> Vec<String> {
    let broken = |item: &Item| rule(item, resolve).map(|what| format!("{} {what}", item.path));
    items(resolve, package).iter().filter_map(broken).collect()
}

#[track_caller]
fn holds(rule: Rule) {
    let (resolve, package) = package();
    let broken = broken(rule, &resolve, package);
    assert!(broken.is_empty(), "wit/: {}", broken.join("\nwit/: "));
}

#[test]
fn every_item_is_documented() {
    holds(undocumented);
}

#[test]
fn every_item_that_can_says_since_when() {
    holds(unversioned);
}

#[test]
fn no_name_means_something_in_a_guest_language() {
    holds(reserved);
}

#[test]
fn only_instants_and_generations_have_64_bits() {
    holds(wide);
}

/// The paths at which a rule finds `body` at fault, which stands in an otherwise faultless package.
fn found(rule: Rule, wit: &str) -> Vec<String> {
    let mut resolve = Resolve::default();
    let package = resolve.push_str("bad.wit", wit).unwrap();
    let path = |line: String| line.split(' ').next().unwrap().to_owned();
    broken(rule, &resolve, package).into_iter().map(path).collect()
}

const BARE: &str = "
    package a:b@0.1.0;
    interface i {
        record r { f: u32 }
        variant v { c(u32) }
        enum e { k }
        flags g { b }
        type t = u32;
        resource s { m: func(); }
        free: func();
    }
    interface j { use i.{r}; }
    world w { import i; export j; import inner: interface { deep: func(); } import alone: func(); }
";

#[test]
fn the_rules_see_every_kind_of_item() {
    let mut seen = found(undocumented, BARE);
    seen.sort();
    let expected = "i.[method]s.m i.e i.e.k i.free i.g i.g.b i.r i.r.f i.s i.t i.v i.v.c inner.deep interface.i \
                    interface.j package.a w.alone w.inner world.w";
    assert_eq!(seen.join(" "), expected);
    let mut seen = found(unversioned, BARE);
    seen.sort();
    let expected = "i.[method]s.m i.e i.free i.g i.r i.s i.t i.v inner.deep interface.i interface.j w.alone w.i \
                    w.inner w.j world.w";
    assert_eq!(seen.join(" "), expected);
}

#[test]
fn an_empty_comment_is_no_documentation() {
    assert_eq!(found(undocumented, "/// p\npackage a:b@0.1.0;\n///\ninterface i {}"), ["interface.i"]);
}

#[test]
fn a_reserved_name_is_found_in_every_spelling_and_place() {
    for (word, language) in [("lambda", "Python"), ("namespace", "C++"), ("chan", "Go"), ("match", "Rust")] {
        assert_eq!(words::language_of(word), Some(language));
    }
    let in_places = "package a:b; interface i { record r { double: u32 } resource s { delete: func(chan: u32); } \
                     enum e { true } f: func(size-t: u32) -> u32; %type: func(); }";
    let mut seen = found(reserved, in_places);
    seen.sort();
    let expected = "i.[method]s.delete i.[method]s.delete.chan i.e.true i.f.size-t i.r.double i.type";
    assert_eq!(seen.join(" "), expected);
    assert_eq!(
        found(reserved, "package a:b; interface instance-of { type-error: func(); }"),
        ["instance-of.type-error"]
    );
}

#[test]
fn a_64_bit_number_is_found_where_it_hides() {
    let wit = "package a:b; interface i { record r { size: u64, at-ms: u64, generation: option<u64> } type n = s64; \
               plain: func(a: list<tuple<string, n>>) -> result<_, u64>; rs: func() -> list<r>; }";
    let mut seen = found(wide, wit);
    seen.sort();
    assert_eq!(seen, ["i.n", "i.plain", "i.plain.a", "i.r.size"]);
}
