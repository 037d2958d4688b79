from tests.unit.operator.test_reconciler import *
def test_s(world, kuberay):
    world.apply(make_resource())
    world.settle()
    kuberay.succeed(child_of(world, "prepare"))
    world.pass_time(1)
    kuberay.run(child_of(world, "generate"))
    world.settle()
    world.change({"suspend": True})
    for i in range(5):
        world.pass_time(3)
        st=world.job().status
        print([(s.step,s.state,s.reason,s.failure_kind,s.failures.own) for s in st.stages][:3], [(c.type,c.status,c.reason) for c in st.conditions if c.type in("Succeeded","Finished","Admitted","Generated")])
    world.start(); world.pass_time(3)
    st=world.job().status
    print([(s.step,s.state,s.reason,s.failure_kind,s.failures.own) for s in st.stages][:3], [(c.type,c.status,c.reason) for c in st.conditions if c.type in("Succeeded","Finished","Admitted","Generated")])
    assert 0
