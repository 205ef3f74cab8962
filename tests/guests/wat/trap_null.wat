;; Calls a function that is not there.
(table 1 funcref)
(type $f (func (result i32)))
(func $evaluate (param i32 i32 i32) (result i32) (call_indirect (type $f) (i32.const 0)))
