#!/usr/bin/perl
# SPDX-License-Identifier: ISC
#
# contrib/preload/python3: a script that it starts is as one that exec starts.  Each script
# here is run by exec, by a preloader without modules and by one with many, and compared:
# output, errors, status.
use v5.36;
use Cwd ();
use Errno qw(ENOENT EPERM);
use File::Copy qw(copy);
use Test::More;
use Bridge;
use Preload;
use PreloadCases;

my $python = '/usr/bin/python3'; # which the scripts' #! lines name
my $program = "$Bridge::srcdir/contrib/preload/python3";
my %plain = (PATH => '/usr/bin:/bin', LANG => 'C.UTF-8');
my $own = tmp() . '/own'; # modules of this test
my %with_own = (%plain, PYTHONPATH => $own);
mkdir $own;

my @modules = qw(json re datetime urllib.parse html threading logging multiprocessing cgi cgitb
    asyncio subprocess tempfile inspect dataclasses pickle wsgiref.handlers email.message);
chomp(my $version = `$python -c 'import sys; print("%d%03d" % sys.version_info[:2])'`);
@modules = grep { !/^cgi/ } @modules if $version >= 3013;

# A script with this text; its path.
sub python_script ($text, $line = '#!/usr/bin/python3') {
    return spew(file(), "$line\n$text", 0755);
}

# Starts a preloader.  One that finds a file that has just changed may have loaded what was
# there before, and is soon stale: then another one.
my $nothing = python_script('print(1)');
sub start (@args) {
    my $env = ref $args[0] ? shift @args : \%plain;
    return start_program($program, $env, @args);
}
sub start_program ($file, $env, @args) {
    my $p;
    wait_until(20, sub {
        $p = Preload->start([ $python, $file, @args ], env => $env);
        return defined $p->run([$nothing])->{out};
    }) or die 'no preloader that can be used: ' . $p->log . "\n";
    return $p;
}

my $bare = start();
my $full = start(@modules);

sub own_module ($name, $text) { return spew("$own/$name.py", $text) }

comparing(by => [ $bare, $full ], start => sub { start() },
    label => sub ($p) { $p == $full ? ', with modules' : '' },
    normal => sub {
        s/\b0x[0-9a-f]{8,}\b/ADDRESS/g;
        s/started \d+/started IDENT/g;
    });

my $kept = tmp() . '/kept'; # a file that scripts write
sub take_kept () {
    my $text = slurp($kept);
    unlink $kept;
    return $text;
}

my @cases = (
    # ---- what it finds
    'arguments and names' => [ <<~'END', args => [ 'a b', "\xc3\xa4\xff", '' ] ],
        import sys
        print(sys.argv, sys.orig_argv if hasattr(sys, 'orig_argv') else '', ascii(__file__), __name__)
        print(sys.path, sys.flags, sys.executable, sys.prefix, sys.warnoptions, sys._xoptions)
        END
    '__main__' => [ <<~'END' ],
        """text"""
        import sys
        print(list(globals()), __spec__, __package__, __builtins__, __doc__, type(__loader__), __loader__.path)
        print(sys.modules['__main__'].__dict__ is globals(), sys.modules['__main__'])
        import __main__, pickle, dataclasses, inspect
        @dataclasses.dataclass
        class A:
            x: int = 3
        print(pickle.loads(pickle.dumps(A())), __main__.A is A, inspect.getsource(A), __annotations__)
        END
    'modules' => [ <<~'END', by => [$bare] ],
        import sys
        print(sorted(sys.modules), sys.path_importer_cache, sys.meta_path, sys.path_hooks)
        END
    'environment' => [ <<~'END', env => { A => "1=2\n3", B => '', "C\xff" => "\xfe", PATH => '/bin' } ],
        import os, subprocess
        print(sorted(os.environb.items()), os.environ['A'])
        os.environ['NEW'] = '1'; del os.environ['B']
        print(subprocess.run('env | sort', shell=True, capture_output=True).stdout, flush=True)
        os.system('env | sort')
        END
    'a variable without a name' => [ 'import os; print(sorted(os.environb.items()))', env => { '' => 'x' } ],
    'a variable without a name, and no script' => [ 'print(', env => { '' => 'x' } ],
    'directory' => [ 'import os; print(os.getcwd(), os.path.exists("python3"))', dir => '/usr/bin' ],
    'descriptors' => [ <<~'END' ],
        import os
        print(sorted(os.listdir('/proc/self/fd')), [os.get_inheritable(fd) for fd in range(3)], flush=True)
        os.system('ls /proc/self/fd'); print(open('/dev/null').fileno())
        END
    'group, signals, umask, name' => [ <<~'END' ],
        import os, signal
        print(os.getpgrp() == os.getpid(), os.umask(0), open('/proc/self/comm').read())
        print([line for line in open('/proc/self/status') if line[:3] in ('Sig', 'Shd') and line[3] != 'Q'])
        print([(n, signal.getsignal(n)) for n in range(1, 65) if signal.getsignal(n)], signal.set_wakeup_fd(-1))
        END
    'limits' => [ 'print(open("/proc/self/limits").read())' ],
    'state of the interpreter' => [ <<~'END' ],
        import sys, gc, faulthandler, locale, atexit
        print(gc.isenabled(), gc.get_threshold(), gc.get_debug(), sys.getrecursionlimit(), sys.getswitchinterval())
        print(faulthandler.is_enabled(), locale.setlocale(locale.LC_ALL), sys.dont_write_bytecode, sys.gettrace())
        print(sys.excepthook is sys.__excepthook__, sys.getfilesystemencoding(), hasattr(sys, 'last_value'))
        END
    'main thread' => [ <<~'END' ],
        import threading, os
        print(threading.main_thread(), threading.current_thread() is threading.main_thread())
        print(threading.main_thread().native_id == os.getpid(), threading.enumerate())
        END
    'logging' => [ <<~'END' ],
        import logging
        logging.warning('x %s', 1)
        logging.basicConfig(format='%(filename)s:%(lineno)d %(module)s %(funcName)s %(process)d %(message)s')
        logging.error('y')
        END

    # ---- standard streams
    'streams' => [ <<~'END', stdin => "a\r\nb\rc\xff\xe4\n" ],
        import sys
        for f in sys.stdin, sys.stdout, sys.stderr:
            print(f, f.encoding, f.errors, f.line_buffering, f.write_through, f.mode, f.buffer, f.isatty(),
                  f is getattr(sys, '__' + f.name.strip('<>') + '__'))
        print(repr(sys.stdin.read()))
        END
    'input' => [ "import sys\nprint(input(), sys.stdin.buffer.read(3), sys.stdin.readline(), list(sys.stdin))",
        stdin => "line\nabcdef\ng\r\nh" ],
    'buffered output' => [ qq(import os, sys\nprint("second"); sys.stderr.write("part"); os.write(1, b"first"); os.write(2, b"[1]")\nsys.stderr.write("\\n"); os.write(2, b"[2]")) ],
    'much output' => [ 'import sys; print("x" * 300000); print("y" * 30000, file=sys.stderr); sys.exit(3)' ],
    '-u' => [ <<~'END', line => '#!/usr/bin/python3 -u', switches => ['-u'] ],
        import sys, os
        sys.stdout.write('a'); os.write(1, b'b'); sys.stderr.write('x'); os.write(2, b'y')
        print(sys.stdout.buffer, sys.stdin.buffer, sys.stdin.write_through, sys.stderr.line_buffering, sys.flags)
        END
    '-uB' => [ 'import sys; print(sys.dont_write_bytecode, sys.stdout.buffer)',
        line => '#!/usr/bin/python3 -uB', switches => ['-uB'] ],
    '-Wignore' => [ "import sys, warnings\nwarnings.warn('x'); warnings.warn('d', DeprecationWarning)\nprint(sys.warnoptions, sys.flags, [f[0] for f in warnings.filters])\nimport imp" x ($version < 3012),
        line => '#!/usr/bin/python3 -Wignore', switches => ['-Wignore'] ],
    'output in another encoding' => [ qq(import sys, io\nsys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="latin-1"); print("\\xe4")) ],
    'output detached' => [ qq(import sys, io\nsys.stdout = io.TextIOWrapper(sys.stdout.detach(), encoding="latin-1"); print("\\xe4")) ],
    'output by a codec' => [ qq(import sys, codecs\nsys.stdout = codecs.getwriter("utf8")(sys.stdout.buffer); print("\\xe4")) ],
    'output closed' => [ 'import sys; print("a"); sys.stdout.close()' ],
    'output closed below' => [ 'import os; print("a"); os.close(1)' ],
    'no output' => [ 'import sys; print("a"); sys.stdout = sys.stderr = None' ],
    'output that is full' => [ 'import os; os.dup2(os.open("/dev/full", 1), 1); print("a")' ],
    'output that is full, sys.exit' => [ 'import os, sys; os.dup2(os.open("/dev/full", 1), 1); print("a"); sys.exit(3)' ],
    'a broken pipe at the end' => [ 'import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); os.close(w); print("a")' ],
    'a broken pipe' => [ 'import os; r, w = os.pipe(); os.close(r); os.dup2(w, 1); os.close(w); print("a" * 100000)' ],

    # ---- how it ends
    'the end' => [ 'print("x")' ],
    'an empty script' => [ '' ],
    (map { ("sys.exit($_)" => [ "import sys; print('text'); sys.exit($_)" ]) }
        '', 'None', 0, 3, -1, 255, 256, 300, 'True', '"message"', '(1, 2)', '2.5', '[]'),
    'exit in a function' => [ "import sys\ndef f():\n  try: sys.exit(3)\n  finally: print('finally')\nf()" ],
    'quit()' => [ 'quit(4)' ],
    'os._exit' => [ 'import os; print("lost"); os._exit(5)' ],
    'an exception' => [ "def f():\n  raise ValueError('x')\nf()" ],
    'a cause' => [ "try:\n  1/0\nexcept Exception as e:\n  raise KeyError(1) from e" ],
    'a context' => [ "def f():\n  try: 1/0\n  finally: g\nf()" ],
    'exceptions in a group' => [ $version >= 3011 ? 'raise ExceptionGroup("g", [ValueError(1), KeyError()])' : '1/0' ],
    'an exception that cannot be shown' => [ "class E(Exception):\n  def __str__(self): 1/0\nraise E" ],
    'no Exception' => [ "class E(BaseException): pass\nprint('a')\nraise E('x')" ],
    'KeyboardInterrupt' => [ 'print("a"); raise KeyboardInterrupt' ],
    'SIGINT' => [ "import os, signal\nprint('a', flush=True); os.kill(os.getpid(), signal.SIGINT)\nwhile True: pass" ],
    'SIGTERM' => [ 'import os; print("lost"); os.kill(os.getpid(), 15)' ],
    'abort' => [ 'import os; os.abort()' ],
    'excepthook' => [ <<~'END' ],
        import sys
        def hook(kind, value, trace):
            print(kind, trace.tb_next, trace.tb_frame.f_code.co_name, value.__traceback__ is trace)
            print(sys.last_traceback is trace, sys.excepthook is hook)
        sys.excepthook = hook
        1/0
        END
    'excepthook fails' => [ "import sys\ndef hook(*a): raise ValueError('in hook')\nsys.excepthook = hook\n1/0" ],
    'excepthook exits' => [ "import sys\ndef hook(*a): sys.exit(9)\nsys.excepthook = hook\n1/0" ],
    'excepthook that cannot be called' => [ "import sys\nsys.excepthook = None\n1/0" ],
    'no excepthook' => [ "import sys\ndel sys.excepthook\n1/0" ],
    'atexit' => [ <<~'END' ],
        import atexit
        atexit.register(print, 'last')
        @atexit.register
        def f(): print('f', '__file__' in globals()); 1/0
        END
    'atexit after sys.exit' => [ "import atexit, sys\n\@atexit.register\ndef f(): print('__file__' in globals())\nsys.exit(4)" ],
    'atexit after an exception' => [ "import atexit\n\@atexit.register\ndef f(): print('__file__' in globals())\n1/0" ],
    'atexit exits' => [ 'import atexit, sys; atexit.register(sys.exit, 5)' ],
    'atexit cleared' => [ 'import atexit; atexit.register(print, 1); atexit._clear()' ],
    'a thread' => [ "import threading, time\ndef f():\n  time.sleep(.1); print('thread', threading.current_thread())\nthreading.Thread(target=f, name='n').start()\nprint('main')" ],
    'a thread, sys.exit' => [ "import threading, time, sys\nthreading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()\nsys.exit(3)" ],
    'a thread, an exception' => [ "import threading, time\nthreading.Thread(target=lambda: (time.sleep(.1), print('thread'))).start()\n1/0" ],
    'a daemon thread' => [ "import threading, time\nthreading.Thread(target=lambda: time.sleep(100), daemon=True).start()\nprint('main')" ],
    'an exception in a thread' => [ "import threading\ndef f(): 1/0\nt = threading.Thread(target=f); t.start(); t.join()" ],
    'a finalizer' => [ "import weakref\nclass A: pass\na = A(); weakref.finalize(a, print, 'finalized')" ],
    '__del__' => [ <<~'END' ],
        class A:
            def __del__(self): print('del', __name__, A, a)
        a = A(); b = A(); b.b = b
        def f(): return a
        END
    '__del__ fails' => [ "class A:\n  def __del__(self): 1/0\na = A()" ],
    '__del__ writes, imports' => [ "import sys\nclass A:\n  def __del__(self): sys.stderr.write('d\\n'); print('x'); import decimal\na = A()\nsys.exit(7)" ],
    '__del__ of what a module holds' => [ "import json, signal\nclass A:\n  def __del__(self): print('del', A)\nb = A()\ndef handler(*a): return b\nsignal.signal(15, handler)\njson.x = A()" ],
    'a generator' => [ "def g():\n  try: yield 1\n  finally: print('finally')\nx = g(); next(x)" ],
    'an awaitable' => [ "import asyncio\nasync def f(): print('in')\nasyncio.run(f())\nf()" ],
    'a file not closed' => [ qq(f = open("$kept", "w"); f.write("text")), after => \&take_kept ],
    'a file not closed, in a circle' => [ qq(class A: pass\na = A(); a.a = a; a.f = open("$kept", "w"); a.f.write("text")), after => \&take_kept ],
    'a file not closed, in a module' => [ qq(import json; json.keep = open("$kept", "w"); json.keep.write("text")), after => \&take_kept ],
    'odd entries of sys.modules' => [ "import sys\nsys.modules['a'] = None; sys.modules['b'] = 5; del sys.modules['os']; print(1)" ],
    'no __main__' => [ "import sys\nfor name in list(sys.modules):\n  if name not in ('sys', 'builtins'): del sys.modules[name]\nprint('x')" ],
    'a copy of sys.modules' => [ "import sys\nsys.modules = dict(sys.modules)\nimport json\nprint('json' in sys.modules)" ],
    'garbage' => [ "import gc\nclass A: pass\na = A(); gc.set_debug(gc.DEBUG_UNCOLLECTABLE); gc.garbage.append(1)" ],
    'temporary files' => [ qq(import tempfile\nf = tempfile.NamedTemporaryFile()\nwith open("$kept", "w") as k: k.write(f.name)\n),
        after => sub { my $name = take_kept(); [ $name =~ m{^/}, -e $name ] } ],

);

my @others = (
    # ---- what it is made of
    'a syntax error' => [ "x = 1\nprint(x\ny = 2" ],
    'a warning of the compiler' => [ "x = 1 is 1\nprint('\\d')\nassert (1, 2)" ],
    'a warning, then an error' => [ "x = 1 is 1\ndef f():\n  continue\n" ],
    'warnings' => [ <<~'END' ],
        import warnings
        warnings.warn('w'); warnings.warn('d', DeprecationWarning)
        def f(): warnings.warn('of my caller', stacklevel=2)
        f()
        END
    'latin-1' => [ "# -*- coding: latin-1 -*-\nprint(ascii('\xe4'))" ],
    'not UTF-8' => [ "print(ascii('\xe4'))" ],
    'a coding that there is not' => [ "# coding: nonsense\nprint(1)" ],
    'CR LF' => [ "print('''a\r\nb''')\r\n" ],
    'a NUL' => [ "print(1)\0\n" ],
    'from __future__' => [ "from __future__ import annotations\ndef f(a: b): pass\nprint(f.__annotations__)\nx: int = 1\nprint(__annotations__)" ],

    # ---- other processes
    'fork' => [ "import os, sys\nprint('a', flush=True)\npid = os.fork()\nif pid == 0:\n  print('child'); sys.exit(2)\nprint(os.waitpid(pid, 0)[1])" ],
    'exec' => [ 'import os; os.environ["X"] = "5"; os.execvp("sh", ["sh", "-c", "echo $X; env | sort; ls /proc/self/fd; exit 8"])' ],
    'multiprocessing by fork' => [ "import multiprocessing\ndef f(x): return x * x\nif __name__ == '__main__':\n  with multiprocessing.get_context('fork').Pool(2) as p: print(p.map(f, [1, 2, 3]))" ],
    'multiprocessing by spawn' => [ "import multiprocessing\ndef f(x): return x * x\nif __name__ == '__main__':\n  with multiprocessing.get_context('spawn').Pool(1) as p: print(p.map(f, [1, 2, 3]))" ],

    'subprocesses' => [ <<~'END', stdin => "from stdin\n" ],
        import subprocess
        p = subprocess.Popen(['cat'], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        print(p.communicate(b'x' * 200000)[0][:5], p.returncode, flush=True)
        print(subprocess.run(['sh', '-c', 'cat; echo err >&2; exit 3']).returncode, flush=True)
        print(subprocess.run(['sh', '-c', 'kill -PIPE $$; echo alive']).returncode)
        END
    'the interpreter, again' => [ "import sys, os\nif len(sys.argv) < 2: os.execv(sys.executable, [sys.executable, __file__, 'again'])\nprint(sys.argv[1:], sys.flags)" ],
    'processes of concurrent.futures' => [ <<~'END' ],
        import concurrent.futures as futures, time
        def f(x): return x + 1
        if __name__ == '__main__':
            with futures.ProcessPoolExecutor(2) as pool: print(list(pool.map(f, range(5))))
            futures.ThreadPoolExecutor(1).submit(lambda: (time.sleep(.05), print('left')))
        END

    # ---- signals
    'asyncio, with a process and a signal' => [ <<~'END' ],
        import asyncio, signal, os
        async def main():
            p = await asyncio.create_subprocess_exec('sh', '-c', 'echo out; exit 4', stdout=asyncio.subprocess.PIPE)
            print((await p.communicate())[0], p.returncode)
            loop = asyncio.get_running_loop()
            done = loop.create_future()
            loop.add_signal_handler(signal.SIGUSR1, done.set_result, 'usr1')
            os.kill(os.getpid(), signal.SIGUSR1)
            print(await done, await loop.run_in_executor(None, sum, [1, 2]))
        asyncio.run(main())
        END
    'asyncio, left open' => [ "import asyncio\nl = asyncio.new_event_loop(); l.run_until_complete(asyncio.sleep(0)); x = l.create_task(asyncio.sleep(1))" ],
    'a timer' => [ "import signal, time\ndef f(*a): raise TimeoutError(a[0])\nsignal.signal(signal.SIGALRM, f)\nsignal.setitimer(signal.ITIMER_REAL, .05)\ntime.sleep(9)" ],
    'SIGCHLD' => [ "import signal, os\nsignal.signal(signal.SIGCHLD, lambda n, f: print('chld', n))\npid = os.fork()\nif not pid: os._exit(3)\nprint(os.waitpid(pid, 0)[1] >> 8)" ],
    'sys.exit in a handler' => [ "import signal, sys, os, time\nsignal.signal(signal.SIGTERM, lambda *a: sys.exit(12))\nos.kill(os.getpid(), 15)\ntime.sleep(9)" ],
    'SIGPIPE' => [ "import signal, os\nsignal.signal(signal.SIGPIPE, signal.SIG_DFL)\nr, w = os.pipe(); os.close(r); print('lost'); os.write(w, b'x')" ],

    # ---- modules that look at the process, or at the end of it
    'tools' => [ <<~'END' ],
        """
        >>> f(2)
        5
        """
        import doctest, unittest, runpy, tracemalloc, sys, warnings, faulthandler
        def f(x): return x * 2
        print(doctest.testmod())
        class T(unittest.TestCase):
            def test(self): self.assertEqual(1, 2)
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromModule(sys.modules['__main__']).run(result)
        print(result.failures)
        print(runpy.run_module('stat', run_name='x')['__spec__'].name, sys.modules['__main__'].__file__ == __file__)
        def w(): warnings.warn('once')
        w(); w()
        tracemalloc.start(); x = ['x' * n for n in range(999)]
        print(tracemalloc.get_traced_memory()[0] > 999, faulthandler.is_enabled())
        END
    'handlers of logging' => [ <<~'END' ],
        import logging, logging.handlers
        class H(logging.Handler):
            def emit(self, r): print('emit', r.getMessage())
            def close(self): print('close'); super().close()
        logging.getLogger().addHandler(logging.handlers.MemoryHandler(100, target=H()))
        logging.getLogger('x').warning('buffered %d', 5)
        END
    'hooks' => [ <<~'END' ],
        import sys, threading, contextvars
        if hasattr(sys, 'addaudithook'): sys.addaudithook(lambda e, a: print(e) if e == 'os.system' else None)
        import os; os.system('true')
        calls = []
        sys.settrace(lambda f, e, a: calls.append(e))
        def f(): pass
        f(); sys.settrace(None); print(calls, list(contextvars.copy_context()))
        if hasattr(threading, 'excepthook'): threading.excepthook = lambda a: print('hook', a.exc_type)
        t = threading.Thread(target=lambda: 1/0); t.start(); t.join()
        if hasattr(sys, 'unraisablehook'): sys.unraisablehook = lambda a: print('unraisable', a.exc_type)
        class A:
            def __del__(self): 1/0
        x = A()
        END
    'the last exception' => [ "import sys, atexit\natexit.register(lambda: print(sys.last_value, sys.last_traceback.tb_frame.f_code.co_name, sys.last_traceback.tb_next))\n1/0" ],

    # ---- CGI
    'a large body' => [ "import sys, hashlib\nprint(hashlib.sha1(sys.stdin.buffer.read()).hexdigest())", stdin => 'x' x 3_000_000 ],
    'wsgiref' => [ <<~'END', env => { QUERY_STRING => 'q=1', REQUEST_METHOD => 'GET', SERVER_NAME => 'x', SERVER_PORT => 80 } ],
        from wsgiref.handlers import CGIHandler
        def app(environ, start_response):
            start_response('200 OK', [('Content-Type', 'text/plain')])
            return [environ['QUERY_STRING'].encode(), str(environ['wsgi.multithread']).encode()]
        CGIHandler().run(app)
        END
    $version < 3013 ? ('cgi, and its warning' => [ qq(import cgi\nprint(cgi.FieldStorage().getvalue("a"))),
            env => { QUERY_STRING => 'a=7', REQUEST_METHOD => 'GET' } ],
        'cgitb' => [ "import cgitb, time\ntime.ctime = lambda *a: 'NOW'\ncgitb.enable(format='text')\ndef f(x): return 1 / x\nf(0)" ]) : (),
);

sub all_same ($cases, @by) {
    my @cases = @$cases;
    while (my ($name, $case) = splice @cases, 0, 2) {
        my ($text, %o) = @$case;
        same($name, python_script($text, $o{line} // '#!/usr/bin/python3'), by => [@by], %o);
    }
}

scenario 'a script is as one started by exec' => sub { all_same(\@cases, $bare, $full) }, secs => 180;
scenario 'so are these' => sub { all_same(\@others, $full) }, secs => 180;

scenario 'what extension modules do at the end' => sub {
    my $p = start('ctypes');
    my $text = "import ctypes\nctypes.CDLL(None).printf(b'left in a stream of C\\n')\n";
    for my $end ('', 'raise SystemExit(3)', 'raise SystemExit("text")', '1/0', 'import os; os._exit(4)') {
        same("output by C: $end", python_script($text . $end), by => [ $bare, $p ]);
    }
};

scenario 'what looks at modules runs nothing of them' => sub {
    own_module(late => "print('late')\nx = 1");
    own_module(lazy => <<~'END');
        import importlib.util, sys
        spec = importlib.util.find_spec('late')
        spec.loader = importlib.util.LazyLoader(spec.loader)
        sys.modules['late'] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules['late'])
        END
    own_module(odd => <<~'END');
        import sys
        class Odd:
            def __getattr__(self, name):
                raise RuntimeError(name)
        sys.modules['odd_part'] = Odd()
        END
    my %env = (%with_own, PYTHONDONTWRITEBYTECODE => 1); # a new file would make it stale
    my %o = (by => [ start(\%env), start(\%env, qw(lazy odd)) ]);
    same('one that is loaded when it is used', python_script("import lazy\nprint('end')"), %o);
    same('and used', python_script("import lazy, late\nprint('a', late.x, 'end')"), %o);
    same('something else than a module', python_script("import odd\nprint('end')"), %o);
    own_module(wrong => "import sys\nsys.modules[1] = sys");
    my $p = Preload->new([ $python, $program, 'wrong' ], env => \%env);
    is($p->wait_exit, 1 << 8, 'one by which it fails ends it');
    my @faults = $p->log =~ /^\w*Error\b.*/mg;
    is(@faults, 1, 'which it says once') or diag($p->log);
};

scenario 'in other environments' => sub {
    my $text = <<~'END';
        import sys, os, locale
        print([(f.encoding, f.errors, f.write_through) for f in (sys.stdin, sys.stdout, sys.stderr)])
        print(sys.flags, sorted(os.environ.items()), locale.setlocale(locale.LC_ALL), sys.path[1:])
        print(ascii(sys.argv), sys.getfilesystemencoding(), sys.path[0][:5]); os.system('env | sort')
        END
    for my $env ({}, { LC_ALL => 'C' }, { LANG => 'C' }, { LC_CTYPE => 'POSIX' }, { LC_CTYPE => 'C.UTF-8' },
        { PYTHONUNBUFFERED => 1 }, { PYTHONIOENCODING => 'latin-1:replace' }, { PYTHONUTF8 => 1, LC_ALL => 'C' },
        { PYTHONSAFEPATH => 1 }, { PYTHONDEVMODE => 1 }, { PYTHONNOUSERSITE => 1, HOME => '/root' },
        { PYTHONOPTIMIZE => 2 }) {
        my %env = (PATH => '/usr/bin:/bin', %$env);
        same(join(' ', map { "$_=$env->{$_}" } sort keys %$env), python_script($text),
            by => [ start(\%env) ], args => ["\xc3\xa4\xff"]);
    }
};

scenario 'nothing of the environment of the preloader' => sub {
    my $p = start({ %plain, OWN => 'own' });
    $p->{env} = \%plain; # of scripts, from now on
    same('is left', python_script(join "\n", 'import os',
        'print(sorted(os.environ.items()), flush=True); os.system("env | sort")'), by => [$p]);
};

# ---- files that are no plain script ----------------------------------------------------

scenario 'what a script lies in' => sub {
    my $text = 'import sys, os; print(sys.path[0], __file__, sys.argv, os.path.basename(__file__))';
    my $script = python_script($text);
    mkdir tmp() . '/links';
    symlink "../" . $script =~ s{.*/}{}r, tmp() . '/links/link';
    same('a symbolic link', tmp() . '/links/link');

    my $dir = file();
    mkdir $dir;
    spew("$dir/__main__.py", 'import sys; print("directory", sys.argv, __file__)');
    same('a directory', $dir, interpreter => [$python]);
    my $zip = file();
    run_program([ $python, '-m', 'zipapp', $dir, '-o', $zip, '-p', $python ]);
    same('a zip file', $zip);
    same('a file that is not there', "$dir/not/there", interpreter => [$python]);
    my $compiled = file() . '.pyc';
    run_program([ $python, '-c', 'import py_compile, sys; py_compile.compile(*sys.argv[1:])',
        "$dir/__main__.py", $compiled ]);
    same('compiled', $compiled, interpreter => [$python]);
    spew("$dir/json.py", 'name = "mine"');
    my $own = spew("$dir/own", "#!$python\nimport json; print(json.__file__, json.name)\n", 0755);
    like(same('a module next to it with the name of a loaded one', $own)->{out}, qr/mine$/, 'its own');
    unlink "$dir/json.py";
    spew("$dir/json.cgi", '');
    spew("$dir/json", '');
    spew($own, "#!$python\nimport json, os; print(json.__file__, os.readlink('/proc/self/exe'), "
        . "open('/proc/self/cmdline').read())\n");
    my $r = $full->run([$own]);
    like($r->{out}, qr{/json/__init__\.py .*preload/python3}, 'files that are no modules are none');
};

# ---- what a request can ask for --------------------------------------------------------

scenario 'switches that cannot be given later' => sub {
    for my $switches ([qw(-E)], [qw(-I)], [qw(-s)], [qw(-O)], [qw(-Es)], ['-u -B'], [qw(-u -W ignore)],
        [qw(-X dev)], ['-'], ['--'], ['-x']) {
        my $r = $full->run([ python_script('print(1)') ], switches => $switches);
        like($r->{answer}, qr/^decline $full->{serial} -.* cannot be given later$/, "@$switches: declined");
    }
};

scenario 'limits, a directory that is not there' => sub {
    my $script = python_script('import resource; print([resource.getrlimit(n) for n in (7, 4, 0)])');
    my $p = start();
    my $r = $p->run([$script], limits => [ 7, 33, 44, 4, 0, 'unlimited', 0, 5, 7 ]);
    is($r->{out}, "[(33, 44), (0, -1), (5, 7)]\n", 'limits');
    is($p->run([$script], limits => [ 7, 55, 44 ])->{answer}, "fail $p->{serial} limit ${\ EPERM}",
        'a wrong one');
    like(join(' ', $p->packet), qr/^exit \d+ 1 0$/, 'and the process has ended');
    is($p->run([$script], dir => '/not/there')->{answer}, "fail $p->{serial} dir ${\ ENOENT}",
        'a directory');
    like(join(' ', $p->packet), qr/^exit \d+ 1 0$/, 'and that one');
};

scenario 'a message of the largest size' => sub {
    my $script = python_script('import os, sys; print(len(os.environ["LONG"]), len(sys.argv))');
    my $r = $full->run([ $script, (1) x 1000 ], env => { LONG => 'x' x 128_000 });
    is($r->{out}, "128000 1001\n", 'arrives');
};

# ---- what processes share -------------------------------------------------------------

scenario 'each process has its own numbers' => sub {
    my $script = python_script(<<~'END');
        import os, random, uuid, ssl, secrets, multiprocessing, hashlib
        print(random.random(), os.urandom(8).hex(), uuid.uuid4(), uuid.uuid1(), ssl.RAND_bytes(8).hex(), secrets.token_hex(),
            hashlib.sha1(multiprocessing.current_process().authkey).hexdigest(), os.getpid(), sep='|')
        END
    my $p = start(qw(random uuid ssl secrets multiprocessing));
    my %seen;
    $seen{$_}++ for map { split /\|/, $p->run([$script])->{out} } 1 .. 5;
    is(scalar keys %seen, 40, 'all differ') or diag(explain(\%seen));
};

# A script finds nothing of an earlier request in its memory.
scenario 'nothing of a request is left for the next' => sub {
    my $secret = join '', map { chr 97 + rand 26 } 1 .. 24;
    my $search = python_script(<<~'END');
        import sys
        word, found, areas = sys.argv[1].encode(), 0, 0
        with open('/proc/self/maps') as maps, open('/proc/self/mem', 'rb', 0) as mem:
            for line in maps:
                if ' rw' in line:
                    low, high = (int(n, 16) for n in line.split()[0].split('-'))
                    mem.seek(low)
                    found += mem.read(high - low)[::-1].find(word) >= 0
                    areas += 1
        print(f'found {found > 0}, searched {areas > 5}')
        END
    my $backwards = reverse $secret;
    for my $p ($bare, start('--learn')) {
        is($p->run([ $search, $backwards ], env => { SECRET => $secret })->{out}, "found True, searched True\n",
            'the search finds its own');
        $p->run([ $nothing, 'x', "a$secret" ], env => { HTTP_ACCEPT => 'x' x 5000,
            HTTP_COOKIE => "session=$secret" }) for 1 .. 3;
        is($p->run([ $search, $backwards ])->{out}, "found False, searched True\n", 'not that of others');
    }
};

scenario 'scripts at once, in any order' => sub {
    my ($gate, $hold) = gate();
    my $script = python_script(<<~"END");
        import fcntl, os, sys
        fcntl.flock(open('$gate'), fcntl.LOCK_SH)
        if sys.argv[1] == '3': os.kill(os.getpid(), 9)
        sys.exit(int(sys.argv[1]))
        END
    scripts_at_once($bare, $script, $hold);
};

# ---- modules --------------------------------------------------------------------------

# The modules of this list that a script finds loaded.
sub loaded ($p, @names) {
    my $list = python_script('import sys; print(*[name for name in sys.argv[1:] if name in sys.modules])');
    return $p->run([ $list, @names ])->{out} =~ s/\n//r;
}

scenario 'its arguments' => sub {
    my $list = spew(file(), "json  # a comment\n\n  html\txml.dom.minidom\n#not_there\n");
    is(loaded(start('--file', $list, 'decimal'), qw(json html xml.dom.minidom decimal fractions)),
        'json html xml.dom.minidom decimal', 'a list, a module');
    own_module(fails => '1/0');
    own_module(exits => 'import sys; sys.exit(3)');
    own_module(stays => "import threading, time\nthreading.Thread(target=time.sleep, args=(100,), daemon=True).start()");
    for ([ '--what' ], [ '--file' ], [ '--file', '/not/there' ], [ 'not_there' ], ['fails'], ['exits'], ['stays']) {
        my $p = Preload->new([ $python, $program, @$_ ], env => \%with_own);
        is($p->wait_exit, 1 << 8, "@$_: it ends");
        like($p->log, qr/\A\Q$_->[0]\E: .*\S.*\n/, 'and says why');
    }
    my $by_hand = run_program([ $python, $program ]);
    is($by_hand->{exit}, 1, 'without a socket it ends');
    is($by_hand->{err}, "descriptor 0 is not a socket\n", 'and says why');
};

scenario 'a link leads to it' => sub {
    symlink Cwd::abs_path($program), my $link = file();
    my $p = Preload->new([ $python, $link ], env => \%with_own);
    is(($p->packet(20))[0], 'ready', 'it finds its other parts') or diag($p->log);
};

scenario 'a module that writes something when it is imported' => sub {
    own_module(keeps => "import sys\nout, raw, into = sys.stdout, sys.stdout.buffer, sys.stdin");
    my $kept = start(\%with_own, 'keeps');
    for my $switches ([], ['-u']) {
        same("streams that a module has kept: @$switches", python_script(<<~'END', "#!$python @$switches"),
            import keeps, sys
            print('1'); keeps.out.write('2'); keeps.out.flush(); keeps.raw.write(b'3'); keeps.raw.flush()
            print(keeps.out is sys.stdout, keeps.into is sys.stdin, keeps.into.read(), keeps.into.seekable())
            keeps.raw.write(b'5')
            END
            by => [$kept], switches => $switches, stdin => 'input');
    }
    own_module(inner => 'x = 1');
    own_module(loud => "import inner\nprint('loud')");
    own_module(old => "import warnings\nwarnings.warn('old', DeprecationWarning, stacklevel=2)");
    my $p = start(\%with_own, 'loud', 'old');
    is(loaded($p, qw(inner loud old)), 'inner', 'is left to the script, what it imports is not');
    same('so the script writes it', python_script('import loud, old; print("end")'), by => [$p]);
};

scenario 'modules that would change the process for all scripts are refused' => sub {
    my %module = (
        handles => [ 'import signal; signal.signal(signal.SIGTERM, print)', 'a signal handler' ],
        blocks => [ 'import signal; signal.pthread_sigmask(0, [signal.SIGUSR1])', 'the signal mask' ],
        masks => [ 'import os; os.umask(0o77)', 'umask' ],
        moves => [ 'import os; os.chdir("/usr")', 'the directory' ],
        opens => [ 'import os; os.open("/dev/null", 0)', 'descriptors' ],
        hooks => [ 'import sys; sys.excepthook = print', 'a hook or stream of sys' ],
        includes => [ 'import sys; sys.path.append("/x")', 'sys.path' ],
    );
    for my $name (sort keys %module) {
        my ($text, $what) = @{ $module{$name} };
        own_module($name => $text);
        own_module("uses_$name" => "import $name");
        for my $module ($name, "uses_$name") {
            my $p = Preload->new([ $python, $program, $module ], env => \%with_own);
            is($p->wait_exit, 1 << 8, "$module: it ends");
            like($p->log, qr/^$module: not loaded: .*for all scripts: \Q$what\E'/, 'and says why');
        }
    }
};

scenario 'a file that changes' => sub {
    my $file = own_module(changes => 'version = 1');
    my $script = python_script('import changes; print(changes.version)');
    my $begin = sub { start(\%with_own, 'changes') };
    my $p = $begin->();
    is($p->run([$script])->{out}, "1\n", 'as it was loaded');
    spew("$own/data.txt", 'x');
    is($p->run([$script])->{out}, "1\n", 'another file in the directory is nothing');
    own_module(changes => 'version = 22');
    is(join(' ', $p->packet), 'stale 0', 'a change is noticed while nothing happens');
    is($p->wait_exit, 0, 'and is the end');
    my $q = $begin->();
    is($q->run([$script])->{out}, "22\n", 'the next preloader has the new one');
    my ($gate, $hold) = gate();
    my $waits = python_script("import fcntl, sys\nfcntl.flock(open('$gate'), fcntl.LOCK_SH)\nsys.exit(5)");
    open my $null, '+<', '/dev/null' or die;
    $q->send_message($q->start_words([$waits]), (fileno $null) x 3);
    my ($word, undef, $pid) = $q->packet;
    is($word, 'start', 'a script runs');
    unlink $file;
    is($q->run([$script])->{answer}, "stale $q->{serial}", 'a start message notices it, too');
    is($q->run([$script])->{answer}, "stale $q->{serial}", 'and each further one');
    close $hold;
    is(join(' ', $q->packet), "exit $pid 5 0", 'the script ends as it would');
    is($q->wait_exit, 0, 'then the preloader does');

    own_module(changes => 'version = 333');
    mkdir "$own/more";
    %with_own = (%plain, PYTHONPATH => "$own/more:$own");
    my $s = $begin->();
    is($s->run([$script])->{out}, "333\n", 'two directories');
    spew("$own/more/changes.py", 'version = 4');
    is($s->run([$script])->{answer}, "stale $s->{serial}", 'a file that is found before the loaded one');
    unlink "$own/more/changes.py";
};

# Puts another file in its place, with the same time, as packages and rsync -t do.
my $time = 1_000_000_000;
sub replace ($path, $text = slurp($path)) {
    my $next = spew(file(), $text, 0644);
    utime $time, $time, $next;
    rename $next, $path or die "$path: $!\n";
}

# A path below the folder, with the folders that lead to it.
sub below ($dir, $name, $text = '') {
    my @parts = split m{/}, $name;
    mkdir join '/', $dir, @parts[ 0 .. $_ ] for 0 .. $#parts - 1;
    return spew("$dir/$name", $text);
}

sub zip ($path, $dir, @names) {
    my $r = run_program([ $python, '-c', "import os, sys, zipfile\nos.chdir(sys.argv[2])\n"
        . "with zipfile.ZipFile(sys.argv[1], 'w') as z:\n  for n in sys.argv[3:]: z.write(n)",
        $path, $dir, @names ]);
    return $r->{exit} == 0 ? $path : die "$path: $r->{err}\n";
}

# What an expression is after an import.
sub python_value ($import, $expression) {
    return run_program([ $python, '-c', "import $import\nprint($expression)" ])->{out} =~ s/\n\z//r;
}

# Files that matter: each case prepares a folder and returns what has to be loaded from it, with
# variables, and what changes.  Another time, size or name is not needed to see it.
my @changes = (
    'a source' => sub ($dir) {
        my $file = below($dir, 'mod.py', 'version = 1');
        return ('mod', {}, sub { replace($file, 'version = 2') });
    },
    'a source that is written over' => sub ($dir) {
        my $file = below($dir, 'mod.py', 'version = 1');
        return ('mod', {}, sub { spew($file, 'version = 2'); utime $time, $time, $file });
    },
    'a compiled file without a source' => sub ($dir) {
        my $source = spew(file(), 'version = 1');
        run_program([ $python, '-c', 'import py_compile, sys; py_compile.compile(*sys.argv[1:])',
            $source, "$dir/mod.pyc" ]);
        return ('mod', {}, sub { replace("$dir/mod.pyc") });
    },
    'where a link leads' => sub ($dir) {
        my @files = map { below($dir, "$_/mod.py", "version = $_") } 1, 2;
        symlink $files[0], "$dir/mod.py";
        return ('mod', {}, sub { symlink $files[1], "$dir/new"; rename "$dir/new", "$dir/mod.py" });
    },
    'an archive' => sub ($dir) {
        below($dir, 'mod.py', 'version = 1');
        my $zip = zip("$dir/zip", $dir, 'mod.py');
        return ('mod', { PYTHONPATH => $zip }, sub { replace($zip) });
    },
    'an archive, a folder of it' => sub ($dir) {
        below($dir, 'lib/mod.py', 'version = 1');
        my $zip = zip("$dir/zip", $dir, 'lib/mod.py');
        return ('mod', { PYTHONPATH => "$zip/lib" }, sub { replace($zip) });
    },
    'an archive where there was none' => sub ($dir) {
        below($dir, 'mod.py', 'version = 1');
        my $zip = "$dir/zip";
        return ('mod', { PYTHONPATH => "$zip:$dir" }, sub { zip($zip, $dir, 'mod.py') });
    },
    'an extension module' => sub ($dir) {
        my $file = python_value('_lsprof', '_lsprof.__file__');
        my $copy = "$dir/" . $file =~ s{.*/}{}r;
        replace($copy, slurp($file));
        return ('_lsprof', {}, sub { replace($copy) });
    },
    'a library that one needs' => sub ($dir) {
        my $file = python_value('lzma', 'next(l.split()[-1] for l in open("/proc/self/maps") if "liblzma" in l)');
        my $copy = "$dir/" . (split ' ', `ldd '@{[ python_value('_lzma', '_lzma.__file__') ]}' | grep liblzma`)[0];
        replace($copy, slurp($file));
        return ('lzma', { LD_LIBRARY_PATH => $dir }, sub { replace($copy) });
    },
    'a namespace that becomes a package' => sub ($dir) {
        below($dir, 'space/mod.py');
        return ('space.mod', {}, sub { below($dir, 'space/__init__.py') });
    },
    'a package where its module was' => sub ($dir) {
        below($dir, "pack/$_.py") for qw(__init__ mod);
        return ('pack.mod', {}, sub { below($dir, 'pack/mod/__init__.py') });
    },
    'a folder that becomes a package, before the module' => sub ($dir) {
        below($dir, 'mod.py');
        below($dir, 'before/mod/data');
        return ('mod', { PYTHONPATH => "$dir/before:$dir" }, sub { below($dir, 'before/mod/__init__.py') });
    },
    'a module that each interpreter loads' => sub ($dir) {
        return ('json', {}, sub { below($dir, 'usercustomize.py') });
    },
);

# Likewise, but it may take a second.
my @late_changes = (
    'what a source was compiled to' => sub ($dir) {
        below($dir, 'mod.py', 'version = 1');
        return ('mod', {}, sub { replace(glob "$dir/__pycache__/mod.*.pyc") });
    },
);

# Files that do not.
my @no_changes = (
    'another module' => sub ($dir) {
        below($dir, "pack/$_.py") for qw(__init__ mod);
        return ('pack.mod', {}, sub { below($dir, $_) for qw(pack/other.py other.py data.txt) });
    },
    'what another module was compiled to' => sub ($dir) {
        below($dir, "$_.py") for qw(mod other);
        return ('mod', {}, sub { below($dir, '__pycache__/other.cpython-999.pyc') });
    },
    'an archive that is not searched' => sub ($dir) {
        below($dir, 'mod.py');
        return ('mod', {}, sub { zip("$dir/mod.zip", $dir, 'mod.py') });
    },
);

# Prepares all, then starts a preloader for each.
sub prepared (@cases) {
    my @prepared;
    while (my ($name, $prepare) = splice @cases, 0, 2) {
        mkdir my $dir = file();
        my ($module, $env, $change) = $prepare->($dir);
        utime $time, $time, glob "$dir/* $dir/*/*";
        push @prepared, [ $name, { %plain, PYTHONPATH => $dir, %$env }, $module, $change ];
    }
    return map { my ($name, $env, $module, $change) = @$_; [ $name, start($env, $module), $change ] }
        @prepared;
}

# What it answers, or has said before it has ended: a change may be noticed before a script is
# asked for.
sub answer ($p, $script) {
    my $answer = $p->run([$script])->{answer} // 'started';
    for (1 .. 2) {
        $answer = join ' ', $p->packet if $answer =~ /^(?:not sent|$)/;
    }
    return $answer;
}

# A script is not started.
sub is_stale ($p, $name, $script = $nothing) {
    local $Test::Builder::Level = $Test::Builder::Level + 1;
    like(answer($p, $script), qr/^stale (?:0|$p->{serial})$/, $name);
}

scenario 'a file that is replaced by one with the same time' => sub {
    for (prepared(@changes)) {
        my ($name, $p, $change) = @$_;
        $change->();
        is_stale($p, "$name: noticed at once");
    }
    for (prepared(@late_changes)) {
        my ($name, $p, $change) = @$_;
        $change->();
        # perhaps while a script runs
        ok(wait_until(5, sub { answer($p, $nothing) =~ /\bstale\b/ }), "$name: noticed soon");
    }
    for (prepared(@no_changes)) {
        my ($name, $p, $change) = @$_;
        $change->();
        is($p->run([$nothing])->{out}, "1\n", "$name: nothing to it");
    }
};

scenario 'no script gets some modules of before and some of after' => sub {
    mkdir my $dir = file();
    below($dir, "pack/$_.py", "version = 1") for qw(__init__ one two);
    my %env = (%plain, PYTHONPATH => $dir);
    my $script = python_script('from pack import one, two; print(one.version, two.version)');
    my $p = start(\%env, 'pack.one');
    is($p->run([$script])->{out}, "1 1\n", 'before');
    replace("$dir/pack/$_.py", 'version = 22') for qw(one two);
    is_stale($p, 'not started', $script);
    is(start(\%env, 'pack.one')->run([$script])->{out}, "22 22\n", 'after');
};

scenario 'a part of the preloader that is replaced' => sub {
    mkdir my $dir = file();
    copy($_, $dir) for glob "$program*";
    for my $part (qw(-ending -files -modules -parent -script), '') {
        my $p = start_program("$dir/python3", \%plain);
        replace("$dir/python3$part");
        is_stale($p, "python3$part");
    }
};

scenario '--learn: what scripts import from the system is loaded for the next' => sub {
    my $p = start(\%with_own, '--learn');
    own_module(mine => '');
    my $text = <<~'END';
        import json, mine, sys
        from xml.dom import minidom
        try:
            import html
        except ImportError:
            import fractions
        def f():
            import wave
        END
    my $script = python_script("${text}print('json' in sys.modules)\n");
    is($p->run([$script])->{out}, "True\n", 'a script');
    my $r;
    my @names = qw(json xml.dom.minidom html fractions mine wave);
    ok(wait_until(10, sub { ($r = loaded($p, @names)) =~ /json/ }), 'then it is loaded');
    is($r, 'json xml.dom.minidom html fractions', 'but nothing that others can write, or in functions');
    like($p->log, qr/^loaded from now on: json, /, 'which is logged');
    same('and scripts run as before', python_script("${text}print(minidom.parseString('<a/>').toxml())"),
        by => [$p]);
    my $wrong = python_script('import (');
    $p->run([$wrong]) for 1 .. 2;
    is($p->run([ python_script('print(1)') ])->{out}, "1\n", 'a script with a fault does no harm');
};

scenario '--learn: files that others can write' => sub {
    my ($mark, $before) = (file(), tmp() . '/before');
    mkdir $before;
    spew("$before/string.py", "import os\nascii_letters = digits = 'x'\nTemplate = Formatter = object\n"
        . "with open('$mark', 'a') as f: print(os.getpid(), file=f)");
    my $p = start({ %plain, PYTHONPATH => $before }, '--learn');
    my $r = $p->run([ python_script("import cmd, logging, wave, string\nprint(string.__file__)") ]);
    my $loaded = '';
    ok(wait_until(10, sub { ($loaded = loaded($p, qw(cmd logging string wave))) =~ /wave/ }),
        'one is learned');
    is($loaded, 'wave', 'but none that needs a file that others can write');
    is($r->{out}, "$before/string.py\n", 'which scripts get');
    is(slurp($mark), "$r->{pid}\n", 'and nothing but them runs it');
};

scenario '--learn: links in directories that others can write' => sub {
    my ($top, @ways) = ways_by_links();
    my $r = run_program([ $python, '-c', <<~'END', "$program-files", $top, map { $_->[0] } @ways ]);
        import os, sys
        stat = os.stat
        class Status:
            def __init__(self, path):
                stat(path)
                self.st_uid, self.st_mode = os.path.basename(path) == 'others', 0o755
        names = {}
        exec(open(sys.argv[1]).read(), names)
        os.stat = Status
        os.chdir(sys.argv[2])
        for path in sys.argv[3:]:
            print(path, *{int(names['is_trusted'](way)) for way in (path, f'{sys.argv[2]}/{path}')})
        END
    is($r->{out}, join('', map { "@$_\n" } @ways), 'each on the way counts') or diag($r->{err});
};

scenario '--learn: modules beside the script' => sub {
    my $p = start('--learn');
    mkdir(my $dir = file());
    spew("$dir/fractions.py", '');
    my $script = spew("$dir/script", "#!$python\nimport fractions, colorsys", 0755);
    is($p->run([$script])->{exit}, 0, 'a script imports its own, and one of the system');
    my $r;
    ok(wait_until(10, sub { ($r = loaded($p, qw(fractions colorsys))) =~ /colorsys/ }),
        'that is learned');
    is($r, 'colorsys', 'but not the one whose name is that of its own');
};

# The interpreter believes a compiled file without reading the source.  Older ones would have
# it beside the system's source.
scenario '--learn: compiled files that others can write' => sub {
    my ($mark, $source) = (file(), file());
    my %env = (%plain, PYTHONPYCACHEPREFIX => tmp() . '/compiled');
    spew($source, "import os\nwith open('$mark', 'a') as f: print(os.getpid(), file=f)\n");
    my $made = run_program([ 'env', map({ "$_=$env{$_}" } keys %env), $python, '-c', <<~'END', $source ]);
        import importlib.util, py_compile, sys
        path = importlib.util.cache_from_source(importlib.util.find_spec('wave').origin)
        print(py_compile.compile(sys.argv[1], path, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))
        END
    like($made->{out}, qr/^\Q$env{PYTHONPYCACHEPREFIX}\E/, 'there is one');
    my $p = start(\%env, '--learn');
    my $r = $p->run([ python_script('import wave') ]);
    ok(wait_until(10, sub { loaded($p, 'wave') eq 'wave' }), 'its module is learned');
    is(slurp($mark), "$r->{pid}\n", 'from the source: nothing but the script has run it');
} if $version >= 3008;

# ---- a worker's other ways ------------------------------------------------------------

scenario 'a worker that has given up' => sub {
    my $mark = file();
    worker_gives_up(python_script("open('$mark', 'w')"), $mark);
};

scenario 'a worker that is gone' => sub {
    my $pids = file();
    worker_is_gone(python_script("import os, signal, time\nos.fork(); signal.signal(15, signal.SIG_IGN)\n"
        . "with open('$pids', 'a') as f: print(os.getpid(), file=f)\ntime.sleep(60)"), $pids);
};

scenario 'ping; retire; TERM' => sub { answers_and_ends() };

scenario 'malformed messages end it' => sub {
    open my $null, '+<', '/dev/null' or die;
    my $good = $bare->start_words([ python_script('print(1)') ]);
    my @three = (fileno $null) x 3;
    my @cases = (
        'an unknown word' => [ ['hello'] ],
        'more than there should be' => [ [ 'retire', 1 ] ],
        'retire with a descriptor' => [ ['retire'], $three[0] ],
        'ping with more' => [ [ 'ping', 1 ] ],
        'no descriptors' => [$good],
        'two descriptors' => [ $good, @three[ 0, 1 ] ],
        'a hundred descriptors' => [ $good, (fileno $null) x 100 ],
        'words missing' => [ [ @$good[ 0 .. $#$good - 1 ] ], @three ],
        'a word more' => [ [ @$good, 'x' ], @three ],
        'a number that is none' => [ [ @$good[ 0, 1 ], 'x', @$good[ 3 .. $#$good ] ], @three ],
        'a negative number' => [ [ @$good[ 0, 1 ], -1, @$good[ 3 .. $#$good ] ], @three ],
        'a number that is too large' => [ [ @$good[ 0, 1 ], 99999, @$good[ 3 .. $#$good ] ], @three ],
        'no arguments' => [ [ qw(start 1 0), '', 0, 0, 0 ], @three ],
        'too long' => [ [ 'x' x 131072 ] ],
    );
    while (my ($name, $message) = splice @cases, 0, 2) {
        my $p = start();
        ok($p->send_message(@$message), "$name: sent");
        ok(defined $p->wait_exit, 'it ends');
        like($p->log, qr/\Amalformed message: .*\n\z/, 'and says why');
    }
    my $p = start();
    $p->send_raw('retire');
    ok($p->wait_exit, 'a message without its end');
};

# ---- through the bridge ----------------------------------------------------------------

scenario 'through the bridge' => sub {
    my @args = ('--status-path', '/status', '--limit', 'nofile=77');
    my %bridge = (exec => Bridge->start(workers => 1, sockets => ['unix'], args => \@args),
        preload => Bridge->start(workers => 1, sockets => ['unix'], args => [ @args,
            '--preload', "$python=$python $program json urllib.parse" ]));
    my $head = "print('Content-Type: text/plain\\n\\n', end='', flush=True)\n";
    my $preloaded = sub {
        my $status = FastCGI::body($bridge{preload}->get('unix', 'none', [
            (map { ($_ => '') } qw(SCRIPT_FILENAME DOCUMENT_ROOT REQUEST_URI)),
            SCRIPT_NAME => '/status', QUERY_STRING => 'json' ]));
        return $status =~ /"preloaded_scripts":\s*(\d+)/ ? $1 : die "no counter: $status\n";
    };
    script('ready.py', "#!$python\n$head");
    wait_until(20, sub { $bridge{preload}->get('unix', 'ready.py'); $preloaded->() });

    my @scripts = (
        'what it finds' => <<~'END',
            import os, sys, subprocess
            print(sorted(os.environ.items()), sys.argv, __file__, os.getcwd(), sys.path[0])
            print(open('/proc/self/limits').read(), open('/proc/self/comm').read(), os.umask(0))
            print(os.getpgrp() == os.getpid(), os.listdir('/proc/self/fd'), sys.stdin.read())
            print([line for line in open('/proc/self/status') if line.startswith('Sig') and line[3] != 'Q'])
            print(subprocess.run('env | sort', shell=True, capture_output=True).stdout)
            END
        'status' => 'import sys; sys.exit(3)',
        'an exception' => '1/0',
        'a syntax error' => 'print(',
        'a status line' => "print('Status: 404 Not Found\\nContent-Type: text/plain\\n\\ntext')",
        'much output' => 'print("x" * 300000)',
        'no response' => '',
    );
    while (my ($name, $text) = splice @scripts, 0, 2) {
        my $line = "#!$python" . ($name eq 'status' ? ' -u' : '');
        script('tried.py', "$line\n" . ($name =~ /status|no / ? '' : $head) . $text);
        my %got;
        my $before = $preloaded->();
        for my $way (keys %bridge) {
            my $mark = $bridge{$way}->mark;
            my $r = $bridge{$way}->get('unix', 'tried.py', [ QUERY_STRING => 'a+b', HTTP_X => 'y' ],
                body => "the body\n");
            my @log = grep { s/^.*?(?=tried)// } quiet($bridge{$way}->log_since($mark));
            s/\[\d+\]/[PID]/, s/\d+\.\d+s/TIME/ for @log;
            $got{$way} = [ normal({ %$r, pid => 'x' })->{out}, $r->{end}, \@log ];
        }
        is_deeply($got{preload}, $got{exec}, $name) or diag(explain(\%got));
        is($preloaded->() - $before, 1, 'preloaded');
    }
    $_->stop for values %bridge;
};

done_testing();
