/* interleave.c - runs commands in interleaved rounds and prints one line of numbers each.
 * Made small and static so that its own size does not show in ru_maxrss of what it starts.
 *
 *   interleave run ROUNDS LABEL 'CMD' [LABEL 'CMD']...
 *       every round runs each command once (order rotated), stdio on /dev/null.
 *       prints: run LABEL round wall_us user_us sys_us maxrss_kb status
 *   interleave csd ROUNDS BUNDLE LABEL 'RUNTIME [--root D]' ...
 *       create, start, wait until the container is gone, delete.
 *       prints: create|start|delete LABEL round wall_us user_us sys_us maxrss_kb status
 *       and     init LABEL round wall_us(start returned -> dead) user sys maxrss status
 *   interleave par JOBS TOTAL LABEL 'CMD' : TOTAL runs with JOBS at once
 *       prints: par LABEL jobs total wall_us user_us sys_us failures
 * In CMD, {id} becomes a fresh id. Words are split at blanks; no shell.
 * user/sys come from wait4 (the process and what it waited for itself). The driver is a
 * child subreaper, so containers' init processes are waited for too, not left over.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#include <time.h>
#include <errno.h>
#include <sys/wait.h>
#include <sys/resource.h>
#include <sys/prctl.h>
static long seq; static char *words[64]; static char buf[8192];
static double now(void){struct timespec t;clock_gettime(CLOCK_MONOTONIC,&t);return t.tv_sec*1e6+t.tv_nsec/1e3;}
static void split(const char*cmd,const char*id){
  char*o=buf;const char*p=cmd;while(*p){if(!strncmp(p,"{id}",4)){o+=sprintf(o,"%s",id);p+=4;}else *o++=*p++;}*o=0;
  int n=0;for(char*w=strtok(buf," ");w&&n<63;w=strtok(0," "))words[n++]=w;words[n]=0;}
static pid_t spawn(void){
  pid_t p=vfork();
  if(p==0){execvp(words[0],words);_exit(127);}
  return p;}
static double us(struct timeval t){return t.tv_sec*1e6+t.tv_usec;}
static int st(int s){return WIFEXITED(s)?WEXITSTATUS(s):128+WTERMSIG(s);}
static FILE *out;
static int once(const char*what,const char*label,int round){
  struct rusage ru;int s;double t=now();pid_t p=spawn();
  while(wait4(p,&s,0,&ru)<0&&errno==EINTR);
  double w=now()-t;
  fprintf(out,"%s %s %d %.0f %.0f %.0f %ld %d\n",what,label,round,w,us(ru.ru_utime),us(ru.ru_stime),ru.ru_maxrss,st(s));
  return st(s);}
static double drain(struct rusage*ru,int*s){pid_t p;int any=0;while((p=wait4(-1,s,0,ru))>0||(p<0&&errno==EINTR))any=1;return any;}
int main(int c,char**v){
  if(c<5)return 2;
  out=fdopen(dup(1),"w");setvbuf(out,malloc(1<<16),_IOFBF,1<<16);
  fcntl(fileno(out),F_SETFD,FD_CLOEXEC);
  int nul=open("/dev/null",O_RDWR|O_CLOEXEC);
  dup2(nul,0);dup2(nul,1);if(!getenv("INTERLEAVE_STDERR"))dup2(nul,2);
  prctl(PR_SET_CHILD_SUBREAPER,1);
  char id[64];
  if(!strcmp(v[1],"run")){
    int n=atoi(v[2]),k=(c-3)/2;
    for(int r=0;r<n;r++)for(int j=0;j<k;j++){int i=(j+r)%k;
      sprintf(id,"b%d-%ld",getpid(),seq++);split(v[4+2*i],id);once("run",v[3+2*i],r);
      struct rusage ru;int s;drain(&ru,&s);}
  }else if(!strcmp(v[1],"csd")){
    int n=atoi(v[2]),k=(c-4)/2;char cmd[4096];
    for(int r=0;r<n;r++)for(int j=0;j<k;j++){int i=(j+r)%k;const char*l=v[4+2*i],*rt=v[5+2*i];
      sprintf(id,"b%d-%ld",getpid(),seq++);struct rusage ru;int s;
      snprintf(cmd,sizeof cmd,"%s create --bundle %s {id}",rt,v[3]);split(cmd,id);int e=once("create",l,r);
      if(!e){snprintf(cmd,sizeof cmd,"%s start {id}",rt);split(cmd,id);once("start",l,r);
        double t=now();if(drain(&ru,&s))fprintf(out,"init %s %d %.0f %.0f %.0f %ld %d\n",l,r,now()-t,us(ru.ru_utime),us(ru.ru_stime),ru.ru_maxrss,st(s));
        snprintf(cmd,sizeof cmd,"%s delete {id}",rt);split(cmd,id);once("delete",l,r);}
      drain(&ru,&s);}
  }else if(!strcmp(v[1],"par")){
    int jobs=atoi(v[2]),total=atoi(v[3]),run=0,begun=0,fail=0;double t=now();struct rusage ru;int s;
    double u=0,y=0;
    while(begun<total||run){
      while(run<jobs&&begun<total){sprintf(id,"b%d-%ld",getpid(),seq++);split(v[5],id);spawn();run++;begun++;}
      if(wait4(-1,&s,0,&ru)>0){run--;u+=us(ru.ru_utime);y+=us(ru.ru_stime);if(st(s))fail++;}}
    fprintf(out,"par %s %d %d %.0f %.0f %.0f %d\n",v[4],jobs,total,now()-t,u,y,fail);
  }else return 2;
  fflush(out);return 0;}
