(module
  ;; A placement policy: the candidates in the order in which they come.
  (; common ;)

  (func (export "dataverse:policy/placement@0.1.0#place")
    (param $id i64) (param i32 i32 i32 i32) (param $size i64) (param $factor i32) (param $now i64)
    (param $candidates i32) (param $count i32) (result i32)
    (local $index i32)
    (; evil: place ;)
    (if (i32.gt_u (local.get $count) (i32.const 4096)) (then (local.set $count (i32.const 4096))))
    (i32.store (i32.const 0) (i32.const 1024))
    (i32.store (i32.const 4) (local.get $count))
    (block $end (loop $next
      (br_if $end (i32.eq (local.get $index) (local.get $count)))
      (i32.store (i32.add (i32.const 1024) (i32.mul (local.get $index) (i32.const 4))) (local.get $index))
      (local.set $index (i32.add (local.get $index) (i32.const 1)))
      (br $next)))
    (call $done)
    (i32.const 0)))
