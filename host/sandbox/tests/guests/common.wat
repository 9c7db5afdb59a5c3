  ;; What every guest has: an introduction, a configuration, an arena for arguments that the end of each
  ;; call gives back whole, and a counter of calls.
  ;;
  ;; 0 .. 64       answers
  ;; 64 .. 1024    text
  ;; 1024 .. 32768 lists in answers
  ;; from $base    the policy's own books, then the arena

  (import "dataverse:policy/host@0.1.0" "log" (func $log (param i32 i32 i32)))
  (memory (export "memory") 28)
  (data (i32.const 64) "test guest")
  (data (i32.const 80) "1.2.3")
  (data (i32.const 96) "no such setting")
  (global $arena i32 (i32.const 1700000))
  (global $free (mut i32) (i32.const 1700000))
  (global $calls (mut i32) (i32.const 0))
  (; evil: module ;)

  (func (export "cabi_realloc") (param i32 i32) (param $align i32) (param $bytes i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and
      (i32.add (global.get $free) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $free (i32.add (local.get $at) (local.get $bytes)))
    (block $enough (loop $more
      (br_if $enough (i32.le_u (global.get $free) (i32.mul (memory.size) (i32.const 65536))))
      (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then (unreachable)))
      (br $more)))
    (local.get $at))

  (func $done
    (global.set $calls (i32.add (global.get $calls) (i32.const 1)))
    (global.set $free (global.get $arena)))

  (func (export "dataverse:policy/policy@0.1.0#describe") (result i32)
    (; evil: describe ;)
    (i32.store (i32.const 0) (i32.const 64)) (i32.store (i32.const 4) (i32.const 10))
    (i32.store (i32.const 8) (i32.const 80)) (i32.store (i32.const 12) (i32.const 5))
    (i32.store (i32.const 16) (i32.const 64)) (i32.store (i32.const 20) (i32.const 10))
    (i32.store (i32.const 24) (i32.const 64)) (i32.store (i32.const 28) (i32.const 0))
    (i32.const 0))

  ;; Takes any configuration but one that begins with `!`.
  (func (export "dataverse:policy/policy@0.1.0#configure")
    (param $config i32) (param $length i32) (param $seed i64) (result i32)
    (; evil: configure ;)
    (i32.store8 (i32.const 0) (i32.const 0))
    (if (i32.and (i32.ne (local.get $length) (i32.const 0))
                 (i32.eq (i32.load8_u (local.get $config)) (i32.const 33))) (then
      (i32.store8 (i32.const 0) (i32.const 1))
      (i32.store (i32.const 4) (i32.const 96)) (i32.store (i32.const 8) (i32.const 15))))
    (call $done)
    (i32.const 0))
