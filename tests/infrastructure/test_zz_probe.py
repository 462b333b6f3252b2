import threading, time, os, sqlite3, resource
from uuid import uuid4
import pytest
from pathlib import Path
from claude_tiu import *
from claude_tiu.domain.dependency_graph import graph_id
from claude_tiu.infrastructure.settings import database, load_settings
from tests.support.stores import *
PW="$argon2id$v=19$m=65536,t=3$abcdefghijklmnop"
def user(**k): return CreateUser(**({"username":f"u{uuid4()}","email":f"{uuid4()}@x.y","password_hash":PW}|k))

@pytest.fixture(params=["sqlite","pg"])
def url(request,tmp_path):
    return f"sqlite:///{tmp_path}/a.db" if request.param=="sqlite" else request.getfixturevalue("pg_url")

def test_rebuild_idle(url):
    with connect(url) as tiu:
        a=tiu.execute(user()); tiu.wait_for(a.position)
        tiu.rebuild(); time.sleep(1.5)
        tiu.wait_for(a.position)
        assert len(tiu._reads.query("select * from users",{}))==1

def test_apply_constraint(url):
    with connect(url) as tiu:
        from tests.support.stores import append, event
        from claude_tiu.infrastructure.mapper import encode
        from claude_tiu.domain.user import UserCreated
        from datetime import datetime, UTC
        e=UserCreated(occurred_at=datetime.now(UTC),username="a",email="a@b",password_hash=PW,role="developer",preferences={})
        t,s,_=encode(e)
        append(tiu.events,event(topic=t,state=s)); append(tiu.events,event(topic=t,state=s))
        try: tiu.wait_for(2,2)
        except Exception as x: assert type(x).__name__=="ProjectionFailed", repr(x)

def test_second_row(url):
    with connect(url) as tiu:
        from claude_tiu.infrastructure.mapper import encode
        from claude_tiu.domain.user import UserCreated
        from datetime import datetime, UTC
        i=uuid4()
        for v in (1,2):
            e=UserCreated(occurred_at=datetime.now(UTC),username=f"a{v}",email=f"a@b{v}",password_hash=PW,role="developer",preferences={})
            t,s,_=encode(e)
            append(tiu.events,event(i,v,topic=t,state=s))
        try: tiu.wait_for(2,2)
        except Exception as x: assert type(x).__name__=="ProjectionFailed", repr(x)

@pytest.mark.parametrize("n",range(8))
def test_two_connects(tmp_path,n):
    errs=[]
    b=threading.Barrier(6)
    def go():
        b.wait()
        try:
            with connect(f"sqlite:///{tmp_path}/a.db") as t: t.execute(user())
        except Exception as e: errs.append(repr(e))
    ts=[threading.Thread(target=go) for _ in range(6)]
    [t.start() for t in ts];[t.join() for t in ts]
    assert errs==[]

@pytest.mark.parametrize("n",range(8))
def test_two_migrations(tmp_path,n):
    from claude_tiu.infrastructure.migrations import migrate_up
    errs=[]
    b=threading.Barrier(6)
    def go():
        b.wait()
        try: migrate_up(f"sqlite:///{tmp_path}/a.db")
        except Exception as e: errs.append(repr(e))
    ts=[threading.Thread(target=go) for _ in range(6)]
    [t.start() for t in ts];[t.join() for t in ts]
    assert errs==[]

def test_graph_id_taken(url):
    with connect(url,project=False) as tiu:
        u=tiu.execute(user()).id
        p=tiu.execute(CreateProject(user_id=u,name="x")).id
        a=tiu.execute(AddTask(project_id=p,name="a")).id
        b=tiu.execute(AddTask(project_id=p,name="b")).id
        tiu.execute(user(user_id=graph_id(p)))
        with pytest.raises(Refused): tiu.execute(AddDependency(task_id=a,depends_on_task_id=b))

@pytest.mark.parametrize("u",["postgresql://[::1","sqlite:///a%00b","sqlite:////"+"x"*300+"/a.db","sqlite:////tmp/"+"x"*300,"sqlite:////etc/passwd/x.db","postgresql://u:se/cret@h/db","postgresql://u:se@cret@h/db","postgresql://u:se cret@h/db", "postgresql://u:se%zzcret@h/db","postgresql://u:secret@h:bad/db","","sqlite:","postgresql:","http://u:secret@h"])
def test_urls(u):
    try:
        connect(u).close()
    except TiuError as e:
        print(type(e).__name__, e, e.details)
        assert "cret" not in str(e)
    else: print("connected!")

def test_default_parent(monkeypatch):
    monkeypatch.setenv("SQLITE_PATH","/etc/passwd/x/y.db")
    with pytest.raises(TiuError): connect()

def test_foreign_sqlite(tmp_path):
    c=sqlite3.connect(tmp_path/"a.db"); c.execute("create table songs(a)"); c.commit(); c.close()
    with pytest.raises(NotMigrated): connect(f"sqlite:///{tmp_path}/a.db").close()

def test_fds(pg_url):
    resource.setrlimit(resource.RLIMIT_NOFILE,(4096,4096))
    fds=[os.open("/dev/null",os.O_RDONLY) for _ in range(1100)]
    try:
        with connect(pg_url) as tiu:
            time.sleep(.2)
            a=tiu.execute(user()); tiu.wait_for(a.position,5); time.sleep(.3)
            a=tiu.execute(user()); t=time.time(); tiu.wait_for(a.position,5); assert time.time()-t<.3
    finally:
        [os.close(f) for f in fds]

def test_nulls(url):
    pass

@pytest.mark.parametrize("threads",[8,32])
def test_contention(url,threads):
    with connect(url,project=False) as tiu:
        u=tiu.execute(user()).id
        p=tiu.execute(CreateProject(user_id=u,name="x")).id
        a=tiu.execute(AddTask(project_id=p,name="a")).id
        tiu.execute(StartTask(task_id=a))
        errs=[]
        def go():
            for i in range(25):
                try: tiu.execute(ClaimProgress(task_id=a,claimed=i))
                except Exception as e: errs.append(repr(e))
        t0=time.time()
        ts=[threading.Thread(target=go) for _ in range(threads)]
        [t.start() for t in ts];[t.join() for t in ts]
        print(threads*25/(time.time()-t0),"/s", len(errs))
        assert errs==[]

def test_listener_stress(sqlite_b):
    store=sqlite_b.events(); stop=False; errs=[]
    def churn():
        while not stop:
            try: ls=[store.listen() for _ in range(20)]; [l.close() for l in ls]
            except Exception as e: errs.append(repr(e))
    t=threading.Thread(target=churn); t.start()
    keep=[store.listen() for _ in range(50)]
    end=time.time()+3
    while time.time()<end:
        try: append(store,event())
        except Exception as e: errs.append(repr(e)); break
    stop=True; t.join(); [l.close() for l in keep]
    assert errs==[]

@pytest.fixture
def sqlite_b(tmp_path):
    b=sqlite_at(tmp_path/"x.db"); yield b; b.close()
