def mount(mount_point):
    print(f"Mounted at {mount_point}")
