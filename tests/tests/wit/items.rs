//! Everything in a WIT package that has a name.

use wit_parser::{
    Docs, Function, Interface, PackageId, Resolve, Stability, Type, TypeDef, TypeDefKind, WorldItem, WorldKey,
};

/// One thing with a name.
pub(crate) struct Item<'a> {
    /// Where it stands, such as `pod.container.ready`.
    pub(crate) path: String,
    /// Its own name, such as `ready`.
    pub(crate) name: String,
    /// Its documentation; `None` where WIT has no place for it.
    pub(crate) docs: Option<&'a Docs>,
    /// Its `@since`; `None` where WIT has no place for it.
    pub(crate) stability: Option<&'a Stability>,
    /// The types it holds, takes or returns.
    pub(crate) types: Vec<Type>,
}

/// All of them.
pub(crate) fn items(resolve: &Resolve, package: PackageId) -> Vec<Item<'_>> {
    let package = &resolve.packages[package];
    let mut items = Items(Vec::new());
    items.add("package", &package.name.namespace, Some(&package.docs), None);
    items.add("package", &package.name.name, None, None);
    for (name, &id) in &package.worlds {
        let world = &resolve.worlds[id];
        items.add("world", name, Some(&world.docs), Some(&world.stability));
        for (key, item) in world.imports.iter().chain(&world.exports) {
            match item {
                WorldItem::Interface { id, stability, .. } => match key {
                    WorldKey::Name(inline) => {
                        items.add(name, inline, Some(&resolve.interfaces[*id].docs), Some(stability));
                        items.interface(resolve, inline, &resolve.interfaces[*id]);
                    }
                    // The interface has its own documentation; the line in the world has a `@since` of its own.
                    WorldKey::Interface(id) => {
                        items.add(name, resolve.interfaces[*id].name.as_deref().unwrap(), None, Some(stability));
                    }
                },
                WorldItem::Function(function) => items.function(name, function),
                WorldItem::Type { id, .. } => items.typedef(name, &resolve.types[*id]),
            }
        }
    }
    for (name, &id) in &package.interfaces {
        let interface = &resolve.interfaces[id];
        items.add("interface", name, Some(&interface.docs), Some(&interface.stability));
        items.interface(resolve, name, interface);
    }
    items.0
}

struct Items<'a>(Vec<Item<'a>>);

impl<'a> Items<'a> {
    fn add(&mut self, parent: &str, name: &str, docs: Option<&'a Docs>, stability: Option<&'a Stability>) {
        self.0.push(Item {
            path: format!("{parent}.{name}"),
            name: name.to_owned(),
            docs,
            stability,
            types: Vec::new(),
        });
    }

    fn typed(&mut self, types: impl IntoIterator<Item = Type>) {
        self.0.last_mut().unwrap().types.extend(types);
    }

    fn interface(&mut self, resolve: &'a Resolve, name: &str, interface: &'a Interface) {
        for &id in interface.types.values() {
            self.typedef(name, &resolve.types[id]);
        }
        for function in interface.functions.values() {
            self.function(name, function);
        }
    }

    fn typedef(&mut self, parent: &str, typedef: &'a TypeDef) {
        // What `use` brings in is documented where it comes from.
        if let TypeDefKind::Type(Type::Id(_)) = typedef.kind {
            return;
        }
        let name = typedef.name.as_deref().unwrap();
        let path = format!("{parent}.{name}");
        self.add(parent, name, Some(&typedef.docs), Some(&typedef.stability));
        match &typedef.kind {
            TypeDefKind::Record(record) => {
                for field in &record.fields {
                    self.add(&path, &field.name, Some(&field.docs), None);
                    self.typed([field.ty]);
                }
            }
            TypeDefKind::Variant(variant) => {
                for case in &variant.cases {
                    self.add(&path, &case.name, Some(&case.docs), None);
                    self.typed(case.ty);
                }
            }
            TypeDefKind::Enum(cases) => {
                for case in &cases.cases {
                    self.add(&path, &case.name, Some(&case.docs), None);
                }
            }
            TypeDefKind::Flags(flags) => {
                for flag in &flags.flags {
                    self.add(&path, &flag.name, Some(&flag.docs), None);
                }
            }
            TypeDefKind::Type(ty) | TypeDefKind::List(ty) | TypeDefKind::Option(ty) => self.typed([*ty]),
            TypeDefKind::Resource => {}
            other => panic!("{path}: teach this test what a {} holds", other.as_str()),
        }
    }

    fn function(&mut self, parent: &str, function: &'a Function) {
        let path = format!("{parent}.{}", function.name);
        self.add(parent, &function.name, Some(&function.docs), Some(&function.stability));
        // A method is named `[method]pod.name`.
        function.item_name().clone_into(&mut self.0.last_mut().unwrap().name);
        self.typed(function.result);
        for param in &function.params {
            if param.name != "self" {
                self.add(&path, &param.name, None, None);
                self.typed([param.ty]);
            }
        }
    }
}
