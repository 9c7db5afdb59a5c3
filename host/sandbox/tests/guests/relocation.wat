(module
  ;; A relocation policy: the reader keeps a copy.
  (; common ;)

  (func (export "dataverse:policy/relocation@0.1.0#on-read")
    (param $id i64) (param i32 i32 i32 i32) (param $size i64) (param $reads i32)
    (param $path i32) (param $length i32) (param $now i64) (result i32)
    (; evil: on-read ;)
    (i32.store (i32.const 1024) (i32.const 0))
    (i32.store (i32.const 0) (i32.const 1024)) (i32.store (i32.const 4) (i32.const 1))
    (i32.store8 (i32.const 8) (i32.const 0))
    (call $done)
    (i32.const 0)))
