int only_kvm(void);
int u(void)
{
	return only_kvm();
}
