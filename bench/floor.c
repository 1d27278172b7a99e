/* floor.c - the floor: the raw system calls that any OCI runtime needs for the bundle of
 * make-bundle.sh: clone3 with the namespaces, the mounts, /dev, masked and
 * read-only paths, pivot_root, capabilities, execve, wait. No config is read,
 * no state is written. With -c the cgroup is made, joined and removed too.
 * This is the physical limit that a runtime is measured against.
 *
 * build: cc -O2 -ffreestanding -fno-stack-protector -fno-builtin -nostdlib -static \
 *           -fno-pie -no-pie -Wl,--build-id=none -s -o floor floor.c
 *        (x86_64 and aarch64; no libc)
 * use:   floor [-w LETTERS] [-V] [-c CGDIR]... ROOTFS CMD [ARG...]
 *   -c CGDIR   make CGDIR, put the child in it (CLONE_INTO_CGROUP for the first
 *              one where the kernel takes it, else cgroup.procs), remove it after
 *   -p         write cgroup.procs only, never CLONE_INTO_CGROUP
 *   -s FILE    load this raw BPF program (array of struct sock_filter) with seccomp(2) before execve
 *   -o         the root is an overlay of ROOTFS whose changes a tmpfs holds
 *   -n FILE    give the child a network: FILE has a line for each message that roci sends for `--network bridge`, "h HEX"
 *              on the host before the program runs, "c HEX" in the container, "d HEX" on the host once it has ended; the
 *              process number in an IFLA_NET_NS_PID attribute becomes the child's
 *   -V         clone with CLONE_VM|CLONE_VFORK (no copy of the address space)
 *   -w LETTERS leave parts out: N net ns, L lo up, I ipc ns (and mqueue), U uts ns,
 *              P pid ns (and proc), S sysfs, T devpts, H shm, Q mqueue, D the device nodes,
 *              M masked+readonly paths, C caps/rlimit/nnp, R mounts+pivot_root (all of them)
 * exit status: the child's, or 125 where a step of the floor itself failed.
 */
#if defined(__x86_64__)
static long sc6(long n,long a,long b,long c,long d,long e,long f){
  long r; register long r10 __asm__("r10")=d,r8 __asm__("r8")=e,r9 __asm__("r9")=f;
  __asm__ volatile("syscall":"=a"(r):"a"(n),"D"(a),"S"(b),"d"(c),"r"(r10),"r"(r8),"r"(r9):"rcx","r11","memory");
  return r;}
enum{ NR_read=0,NR_write=1,NR_close=3,NR_ioctl=16,NR_socket=41,NR_exit_group=231,NR_wait4=61,NR_execve=59,
 NR_chdir=80,NR_mkdirat=258,NR_unlinkat=263,NR_mknodat=259,NR_symlinkat=266,NR_mount=165,NR_umount2=166,NR_pivot_root=155,
 NR_sethostname=170,NR_prctl=157,NR_capset=126,NR_prlimit64=302,NR_openat=257,NR_clone3=435,NR_mount_setattr=442,
 NR_open_tree=428,NR_move_mount=429,NR_umask=95,NR_seccomp=317,NR_sendto=44,NR_recvfrom=45,NR_pipe2=293};
#elif defined(__aarch64__)
static long sc6(long n,long a,long b,long c,long d,long e,long f){
  register long x8 __asm__("x8")=n,x0 __asm__("x0")=a,x1 __asm__("x1")=b,x2 __asm__("x2")=c,x3 __asm__("x3")=d,x4 __asm__("x4")=e,x5 __asm__("x5")=f;
  __asm__ volatile("svc 0":"+r"(x0):"r"(x8),"r"(x1),"r"(x2),"r"(x3),"r"(x4),"r"(x5):"memory");return x0;}
enum{ NR_read=63,NR_write=64,NR_close=57,NR_ioctl=29,NR_socket=198,NR_exit_group=94,NR_wait4=260,NR_execve=221,
 NR_chdir=49,NR_mkdirat=34,NR_unlinkat=35,NR_mknodat=33,NR_symlinkat=36,NR_mount=40,NR_umount2=39,NR_pivot_root=41,
 NR_sethostname=161,NR_prctl=167,NR_capset=91,NR_prlimit64=261,NR_openat=56,NR_clone3=435,NR_mount_setattr=442,
 NR_open_tree=428,NR_move_mount=429,NR_umask=166,NR_seccomp=277,NR_sendto=206,NR_recvfrom=207,NR_pipe2=59};
#else
#error "add the syscall numbers of this architecture"
#endif
#define S0(n) sc6(n,0,0,0,0,0,0)
#define S1(n,a) sc6(n,(long)(a),0,0,0,0,0)
#define S2(n,a,b) sc6(n,(long)(a),(long)(b),0,0,0,0)
#define S3(n,a,b,c) sc6(n,(long)(a),(long)(b),(long)(c),0,0,0)
#define S4(n,a,b,c,d) sc6(n,(long)(a),(long)(b),(long)(c),(long)(d),0,0)
#define S5(n,a,b,c,d,e) sc6(n,(long)(a),(long)(b),(long)(c),(long)(d),(long)(e),0)
typedef unsigned long long u64; typedef unsigned int u32;
void *memset(void*p,int c,unsigned long n){char*q=p;while(n--)*q++=c;return p;}
void *memcpy(void*d,const void*s,unsigned long n){char*q=d;const char*r=s;while(n--)*q++=*r++;return d;}
static unsigned long slen(const char*s){unsigned long n=0;while(s[n])n++;return n;}
#define AT_FDCWD (-100)
#define MS_RDONLY 1
#define MS_NOSUID 2
#define MS_NODEV 4
#define MS_NOEXEC 8
#define MS_REMOUNT 32
#define MS_BIND 4096
#define MS_REC 16384
#define MS_PRIVATE (1<<18)
#define MS_STRICTATIME (1<<24)
static void die(const char*what,long r){char b[32];int i=31;long v=-r;S3(NR_write,2,"floor: ",7);S3(NR_write,2,what,slen(what));
  b[i]='\n';do b[--i]='0'+v%10,v/=10;while(v);b[--i]=' ';S3(NR_write,2,b+i,32-i);S1(NR_exit_group,125);}
#define CK(w,x) do{long r_=(x);if(r_<0)die(w,r_);}while(0)
static int mount(const char*s,const char*t,const char*f,unsigned long fl,const char*d){return S5(NR_mount,s,t,f,fl,d);}
struct clone_args{u64 flags,pidfd,child_tid,parent_tid,exit_signal,stack,stack_size,tls,set_tid,set_tid_size,cgroup;};
struct mount_attr{u64 set,clr,prop,userns;};
static const char *const masked_dir[]={"proc/acpi","proc/scsi","sys/firmware","proc/asound",0};
static const char *const masked_file[]={"proc/kcore","proc/keys","proc/latency_stats","proc/timer_list","proc/timer_stats","proc/sched_debug",0};
static const char *const ro[]={"proc/bus","proc/fs","proc/irq","proc/sys","proc/sysrq-trigger",0};
static const struct{const char*p;int maj,min;}dev[]={{"dev/null",1,3},{"dev/zero",1,5},{"dev/full",1,7},{"dev/random",1,8},{"dev/urandom",1,9},{"dev/tty",5,0}};
static const struct{const char*t,*l;}lnk[]={{"pts/ptmx","dev/ptmx"},{"/proc/self/fd","dev/fd"},{"/proc/self/fd/0","dev/stdin"},{"/proc/self/fd/1","dev/stdout"},{"/proc/self/fd/2","dev/stderr"}};
static const char*bpf;static long bpf_n;static void*bpf_p;static char bpf_b[65536];static u32 without; static int W(char c){return (without>>(c-'A'))&1;}
static int overlay,gate[2]={-1,-1};static char net_b[65536];static long net_n;
static int hex(char c){return c>='a'?c-'a'+10:c-'0';}
/* Sends the messages of a kind, and reads one answer to each. */
static void say(char kind,int pid){
  int s=-1;char*p=net_b,*end=net_b+net_n;
  while(p<end){
    char*line=p;while(p<end&&*p!='\n')p++;
    if(*line==kind){
      unsigned char m[4096];static unsigned char answer[8192];long n=0;
      for(char*q=line+2;q+1<p;q+=2)m[n++]=hex(q[0])<<4|hex(q[1]);
      for(long k=16;pid&&k+8<=n;k+=4)if(m[k]==8&&!m[k+1]&&m[k+2]==19&&!m[k+3])memcpy(m+k+4,&pid,4);
      if(s<0){s=S3(NR_socket,16,3|02000000,0);CK("netlink",s);}
      CK("send",sc6(NR_sendto,s,(long)m,n,0,0,0));
      long r=sc6(NR_recvfrom,s,(long)answer,sizeof answer,0,0,0);CK("answer",r);
      if(answer[4]==2){int e;memcpy(&e,answer+16,4);if(e)die("refused",e);}}
    p++;}
  if(s>=0)S1(NR_close,s);}
static void child(const char*root,char**argv,char**envp){
  if(!W('U'))CK("sethostname",S2(NR_sethostname,"bench",5));
  if(!W('N')&&!W('L')){ /* lo up */
    struct{char n[16];short fl;char pad[22];}ifr;memset(&ifr,0,sizeof ifr);ifr.n[0]='l';ifr.n[1]='o';ifr.fl=1|64;
    int s=S3(NR_socket,2,2|02000000,0);CK("socket",s);CK("lo",S3(NR_ioctl,s,0x8914,&ifr));S1(NR_close,s);}
  if(gate[0]>=0){char g;CK("gate",S3(NR_read,gate[0],&g,1));say('c',0);}
  if(!W('R')){
  CK("private",mount(0,"/",0,MS_REC|MS_PRIVATE,0));
  if(overlay){
   int lower=S4(NR_openat,AT_FDCWD,root,010000000|0200000,0);CK("lower",lower);
   char data[]="lowerdir=/proc/self/fd/#,upperdir=u,workdir=w";for(char*p=data;*p;p++)if(*p=='#')*p='0'+lower;
   CK("upper",mount("tmpfs",root,"tmpfs",0,0));CK("chdir",S1(NR_chdir,root));
   CK("mkdir u",S3(NR_mkdirat,AT_FDCWD,"u",0755));CK("mkdir w",S3(NR_mkdirat,AT_FDCWD,"w",0755));
   CK("overlay",mount("overlay",root,"overlay",0,data));S1(NR_close,lower);
  }else CK("bind root",mount(root,root,0,MS_BIND|MS_REC,0));
  CK("chdir",S1(NR_chdir,root));
  S1(NR_umask,0);
  if(!W('P'))CK("proc",mount("proc","proc","proc",0,0));
  CK("dev",mount("tmpfs","dev","tmpfs",MS_NOSUID|MS_STRICTATIME,"mode=755,size=65536k"));
  if(!W('T')){CK("mkdir pts",S3(NR_mkdirat,AT_FDCWD,"dev/pts",0755));
   CK("pts",mount("devpts","dev/pts","devpts",MS_NOSUID|MS_NOEXEC,"newinstance,ptmxmode=0666,mode=0620,gid=5"));}
  if(!W('H')){CK("mkdir shm",S3(NR_mkdirat,AT_FDCWD,"dev/shm",0755));
   CK("shm",mount("shm","dev/shm","tmpfs",MS_NOSUID|MS_NOEXEC|MS_NODEV,"mode=1777,size=65536k"));}
  if(!W('Q')&&!W('I')){CK("mkdir mqueue",S3(NR_mkdirat,AT_FDCWD,"dev/mqueue",0755));
   CK("mqueue",mount("mqueue","dev/mqueue","mqueue",MS_NOSUID|MS_NOEXEC|MS_NODEV,0));}
  if(!W('S'))CK("sysfs",mount("sysfs","sys","sysfs",MS_NOSUID|MS_NOEXEC|MS_NODEV|MS_RDONLY,0));
  if(!W('D')){
   for(unsigned i=0;i<sizeof dev/sizeof*dev;i++)CK("mknod",S4(NR_mknodat,AT_FDCWD,dev[i].p,020666,dev[i].maj<<8|dev[i].min));
   for(unsigned i=0;i<sizeof lnk/sizeof*lnk;i++)CK("symlink",S3(NR_symlinkat,lnk[i].t,AT_FDCWD,lnk[i].l));}
  if(!W('M')&&!W('P')&&!W('S')){
   struct mount_attr ra={.set=MS_RDONLY};
   for(int i=0;ro[i];i++){long r=mount(ro[i],ro[i],0,MS_BIND|MS_REC,0);if(r==-2)continue;CK("ro bind",r);
     CK("ro",S5(NR_mount_setattr,AT_FDCWD,ro[i],0x8000/*AT_RECURSIVE*/,&ra,sizeof ra));}
   for(int i=0;masked_dir[i];i++){long r=mount("tmpfs",masked_dir[i],"tmpfs",MS_RDONLY,0);if(r!=-2)CK("mask dir",r);}
   for(int i=0;masked_file[i];i++){long r=mount("dev/null",masked_file[i],0,MS_BIND,0);if(r!=-2)CK("mask file",r);}}
  CK("pivot_root",S2(NR_pivot_root,".","."));
  CK("umount",S2(NR_umount2,".",2));
  {struct mount_attr ra={.set=MS_RDONLY};CK("ro root",S5(NR_mount_setattr,AT_FDCWD,"/",0,&ra,sizeof ra));}
  S1(NR_umask,022);CK("chdir /",S1(NR_chdir,"/"));
  }
  if(!W('C')){
   u64 rl[2]={1024,1024};CK("rlimit",S4(NR_prlimit64,0,7,rl,0));
   u64 keep=1ULL<<29|1ULL<<5|1ULL<<10; /* AUDIT_WRITE KILL NET_BIND_SERVICE */
   for(int i=0;i<=40;i++)if(!(keep>>i&1))CK("capbset_drop",S2(NR_prctl,24,i));
   u32 h[2]={0x20080522,0},d[6]={(u32)keep,(u32)keep,0,0,0,0};CK("capset",S2(NR_capset,h,d));
   CK("nnp",S5(NR_prctl,38,1,0,0,0));}
  if(bpf){
   struct{unsigned short n;char pad[6];const void*p;}pr={.n=bpf_n,.p=bpf_p};
   CK("seccomp",S3(NR_seccomp,1,0,&pr));}
  long r=S3(NR_execve,argv[0],argv,envp);die("execve",r);
}
static void cat(char*b,const char*a,const char*c){unsigned long n=slen(a);memcpy(b,a,n);memcpy(b+n,c,slen(c)+1);}
int cmain(long *sp){
  int argc=sp[0];char**argv=(char**)(sp+1),**envp=argv+argc+1;
  const char*cg[32];int ncg=0,vf=0,procs=0,i=1;
  for(;i<argc&&argv[i][0]=='-';i++){
    char o=argv[i][1];
    if(o=='V')vf=1;else if(o=='p')procs=1;else if(o=='o')overlay=1;
    else if(o=='n'&&i+1<argc){int f=S4(NR_openat,AT_FDCWD,argv[++i],02000000,0);CK("messages",f);
      net_n=S3(NR_read,f,net_b,sizeof net_b);S1(NR_close,f);CK("pipe",S2(NR_pipe2,gate,02000000));}
    else if(o=='c'&&i+1<argc&&ncg<32)cg[ncg++]=argv[++i];
    else if(o=='s'&&i+1<argc)bpf=argv[++i];
    else if(o=='w'&&i+1<argc){for(char*p=argv[++i];*p;p++)without|=1u<<(*p-'A');}
    else die("bad option",0);}
  if(i+1>=argc)die("usage: floor [-w LETTERS] [-V] [-p] [-c CGDIR]... ROOTFS CMD [ARG...]",0);
  if(bpf){int f=S4(NR_openat,AT_FDCWD,bpf,02000000,0);CK("bpf",f);long n=S3(NR_read,f,bpf_b,sizeof bpf_b);CK("bpf read",n);S1(NR_close,f);bpf_n=n/8;bpf_p=bpf_b;}
  int cgfd=-1;
  for(int k=0;k<ncg;k++)CK("cgroup mkdir",S3(NR_mkdirat,AT_FDCWD,cg[k],0755));
  u64 fl=0x00020000; /* NEWNS */
  fl|=W('U')?0:0x04000000; fl|=W('I')?0:0x08000000; fl|=W('P')?0:0x20000000; fl|=W('N')?0:0x40000000;
  if(vf)fl|=0x4100; /* VM|VFORK */
  struct clone_args ca;memset(&ca,0,sizeof ca);ca.flags=fl;ca.exit_signal=17;
  long pid=-1;
  if(ncg&&!procs){
    cgfd=S4(NR_openat,AT_FDCWD,cg[0],010000000|0200000|02000000,0);
    if(cgfd>=0){ca.flags|=0x200000000ULL;ca.cgroup=cgfd;pid=S2(NR_clone3,&ca,sizeof ca);
      if(pid==0)goto in;
      S1(NR_close,cgfd);if(pid<0){ca.flags=fl;ca.cgroup=0;cgfd=-1;}}
  }
  if(pid<0){
    /* v1: the child joins by itself ("0"), so no second process has to wait */
    pid=S2(NR_clone3,&ca,sizeof ca);
    if(pid==0){
in:   for(int k=cgfd>=0?1:0;k<ncg;k++){char b[4096];cat(b,cg[k],"/cgroup.procs");
        int f=S4(NR_openat,AT_FDCWD,b,1|02000000,0);CK("cgroup.procs",f);CK("join",S3(NR_write,f,"0",1));S1(NR_close,f);}
      child(argv[i],argv+i+1,envp);}
    CK("clone3",pid);}
  if(gate[1]>=0){say('h',pid);CK("gate",S3(NR_write,gate[1],"",1));}
  int st=0;CK("wait4",S4(NR_wait4,pid,&st,0,0));
  if(gate[1]>=0)say('d',0);
  for(int k=ncg-1;k>=0;k--)CK("cgroup rmdir",S3(NR_unlinkat,AT_FDCWD,cg[k],0x200));
  S1(NR_exit_group,(st&0x7f)?128+(st&0x7f):(st>>8)&0xff);
  return 0;
}
#if defined(__x86_64__)
__asm__(".globl _start\n_start: xor %ebp,%ebp; mov %rsp,%rdi; and $-16,%rsp; call cmain; hlt");
#else
__asm__(".globl _start\n_start: mov x29,#0; mov x0,sp; bl cmain; brk #0");
#endif
