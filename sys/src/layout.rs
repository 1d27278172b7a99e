//! That the structures that the kernel reads and writes lie in memory as it has them, on every machine that is built for.

/// Of the structure `$own`, size and alignment and the places of its fields are those of the kernel's.
macro_rules! same_layout {
    ($own:ty, $kernel:ty, $($field:tt = $theirs:ident),*) => {
        static_assertions::assert_eq_size!($own, $kernel);
        static_assertions::assert_eq_align!($own, $kernel);
        same_layout!(fields $own, $kernel, $($field = $theirs),*);
    };
    (fields $own:ty, $kernel:ty, $($field:tt = $theirs:ident),*) => {
        $(static_assertions::const_assert_eq!(
            core::mem::offset_of!($own, $field),
            core::mem::offset_of!($kernel, $theirs)
        );)*
    };
}

/// Of an array of numbers in the kernel's structure's place, the elements with these places are those fields.
macro_rules! same_places {
    ($element:ty, $kernel:ty, $($index:literal = $theirs:ident),*) => {
        $(static_assertions::const_assert_eq!(
            $index * size_of::<$element>(),
            core::mem::offset_of!($kernel, $theirs)
        );)*
    };
}

pub(crate) use {same_layout, same_places};
